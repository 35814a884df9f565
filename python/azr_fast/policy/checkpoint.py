"""Folders that are there whole or not at all.

A checkpoint is written under a temporary name, every file and folder is fsynced, and one rename
makes it visible: a crash or a full disk at any instant leaves the checkpoints before it as they
were (rename(2), fsync(2)). A manifest of file sizes tells a whole folder from a damaged copy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from azr_fast.errors import UserError

MANIFEST = "manifest.json"
MODEL_FOLDER = "model"  # in a checkpoint: what transformers and vLLM load
ADAPTER_FOLDER = "adapter"  # in its place where adapters learn: what peft loads


def write_checkpoint(folder: Path, write: Callable[[Path], None]) -> None:
    """Make `folder` with what `write(temporary folder)` puts there, atomically.

    A folder of that name is replaced. Raises UserError when the disk is full or fails; nothing is
    left behind then, nor after any other exception of `write`.
    """
    from safetensors import SafetensorError  # here, so that `report` works without it

    partial = folder.with_name(f".{folder.name}.partial")
    try:
        _clear(folder.parent)
        partial.mkdir(parents=True)
        write(partial)
        sizes = _sizes(partial)
        (partial / MANIFEST).write_text(json.dumps(sizes, indent=1), encoding="utf-8")
        _sync_tree(partial)
        if folder.exists():
            _remove(folder)
        partial.rename(folder)
        _sync(folder.parent)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(
            f"cannot write checkpoint {folder}: {reason}; earlier checkpoints are intact: "
            "free disk space, then go on with azr-fast train --resume"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_whole(folder: Path) -> bool:
    """Whether `folder` holds every file of its manifest, at its size."""
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def latest_checkpoint(parent: Path) -> Path | None:
    """The whole `step-N` folder in `parent` with the highest N."""
    return next((path for path in reversed(_checkpoints(parent)) if is_whole(path)), None)


def prune_checkpoints(parent: Path, newest: int, every: int = 0, best: int | None = None) -> None:
    """Remove all checkpoints but the `newest`, those of every `every`-th step (0: none) and that of
    step `best`. That of step 0, which holds no model, goes as soon as there is another.

    A folder is renamed before it is emptied, so that a kill leaves none that looks damaged.
    """
    assert newest > 0, "the newest checkpoint is never removed"
    _clear(parent)
    checkpoints = _checkpoints(parent)
    for path in checkpoints[:-newest]:
        step = _step(path)
        if step == 0 or not (step == best or (every and step % every == 0)):
            _remove(path)
    for path in checkpoints[-newest:-1]:
        if _step(path) == 0:
            _remove(path)


def _remove(folder: Path) -> None:
    hidden = folder.with_name(f".{folder.name}.removed")
    folder.rename(hidden)
    shutil.rmtree(hidden)


def _clear(parent: Path) -> None:
    """Remove what processes that were killed had begun to write or to remove."""
    for name in (".*.partial", ".*.removed"):
        for path in parent.glob(name):
            shutil.rmtree(path)


def steps_of(parent: Path) -> list[int]:
    """The steps of all checkpoints in `parent`, whole or damaged, in order."""
    return [_step(path) for path in _checkpoints(parent)]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _checkpoints(parent: Path) -> list[Path]:
    """Folders named step-N, by N."""
    steps = {path: re.fullmatch(r"step-(\d+)", path.name) for path in parent.glob("step-*")}
    return sorted((path for path, step in steps.items() if step), key=_step)


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
