"""What a run takes of a disk, and what of it can go when the disk is full."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from azr_fast.policy.checkpoint import latest_checkpoint

_UNITS = ("B", "KiB", "MiB", "GiB")


def what_to_free(run: Path) -> str:
    """A clause on the disk of the run folder `run`: what is free, what of the run can be removed.

    A run goes on without its samples, what was set aside, and all checkpoints but the newest.
    """
    free = shutil.disk_usage(run).free
    found = ", ".join(f"{path.relative_to(run)} ({size_text(size)})" for path, size in _spare(run))
    what = f"of this run these can go: {found}" if found else "nothing of this run can be spared"
    return f"{size_text(free)} are free on the disk of {run}; {what}"


def _spare(run: Path) -> list[tuple[Path, int]]:
    """What the run can do without and how large it is, largest first."""
    checkpoints = run / "checkpoints"
    newest = latest_checkpoint(checkpoints)
    older = [path for path in checkpoints.glob("step-*") if newest and path != newest]
    spare = [*run.glob("set-aside-*"), run / "samples", *older]
    sizes = [(path, size_of(path)) for path in spare]
    return sorted((pair for pair in sizes if pair[1]), key=lambda pair: -pair[1])


def size_of(folder: Path) -> int:
    """Bytes that the files of a folder take on the disk; those that vanish meanwhile take none."""
    size = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):
                size += os.lstat(f"{place}/{name}").st_blocks * 512
    return size


def size_text(size: float) -> str:
    """A size in bytes for people: "3.1 MiB"."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.3g} {_UNITS[unit]}"
