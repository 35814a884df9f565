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


def write_checkpoint(folder: Path, write: Callable[[Path], None]) -> None:
    """Make `folder` with what `write(temporary folder)` puts there, atomically.

    A folder of that name is replaced. Raises UserError when the disk is full or fails; nothing is
    left behind then, nor after any other exception of `write`.
    """
    from safetensors import SafetensorError  # here, so that `report` works without it

    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
        partial.mkdir(parents=True)
        write(partial)
        sizes = _sizes(partial)
        (partial / MANIFEST).write_text(json.dumps(sizes, indent=1), encoding="utf-8")
        _sync_tree(partial)
        if folder.exists():
            shutil.rmtree(folder)
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


def prune_checkpoints(parent: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and that of step 0, which holds no model, as
    soon as there is another."""
    assert keep > 0, "the newest checkpoint is never removed"
    checkpoints = _checkpoints(parent)
    seeds = [path for path in checkpoints[:-1] if path.name == "step-0"]
    for path in {*checkpoints[:-keep], *seeds}:
        shutil.rmtree(path)


def _checkpoints(parent: Path) -> list[Path]:
    """Folders named step-N, by N."""
    steps = {path: re.fullmatch(r"step-(\d+)", path.name) for path in parent.glob("step-*")}
    return sorted((path for path, step in steps.items() if step), key=lambda p: int(p.name[5:]))


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
