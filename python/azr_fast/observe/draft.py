"""A folder in the making: hidden and locked until it is whole, then there at once."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from azr_fast.errors import UserError
from azr_fast.observe.files import sync_folder
from azr_fast.observe.typed import command

_PARTIAL = ".partial"


def lock_file(path: Path, busy: str, flags: int = 0) -> int:
    """An exclusive lock on `path`, held by the descriptor returned; the kernel frees it.

    Raises OSError when the file cannot be opened with `flags`, and UserError that says `busy` when
    another process holds it, or removed it meanwhile.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = os.fstat(descriptor).st_nlink > 0
    except BlockingIOError:
        free = False
    if not free:
        os.close(descriptor)
        raise UserError(busy)
    return descriptor


class Draft:
    """The folder that will be `path`, filled by `write(hidden folder)`.

    Of two processes that want one name, one gets it; what a killed one left is taken over. Raises
    UserError when the name is taken, OSError when the folder cannot be made; nothing is left then.
    """

    def __init__(self, path: Path, lock: str, write: Callable[[Path], None]) -> None:
        """`lock` names the file that is locked; `write` may add to it and must not replace it."""
        self.path = path
        self.lock = -1
        self._hidden = path.with_name(f".{path.name}{_PARTIAL}")
        self._parents = [parent for parent in path.parents if not parent.exists()]
        busy = f"run folder {path} is being made by another azr-fast: choose another --run.name"
        _sweep(path.parent, lock)
        try:
            self._hidden.mkdir(parents=True, exist_ok=True)
            self.lock = lock_file(self._hidden / lock, busy, os.O_CREAT)
            _check_free(path)
            write(self._hidden)
        except BaseException:
            self.discard()
            raise

    def settle(self) -> None:
        """Show the folder under its name. Its lock stays."""
        self._hidden.rename(self.path)
        sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove the folder, and the parents that were made for it and hold nothing else."""
        if self.lock >= 0:
            shutil.rmtree(self._hidden, ignore_errors=True)
            os.close(self.lock)
        for folder in (self._hidden, *self._parents):
            with suppress(OSError):
                folder.rmdir()


def _sweep(parent: Path, lock: str) -> None:
    """Remove hidden folders of processes that were killed while they loaded: their lock is free."""
    for left in parent.glob(f".*{_PARTIAL}"):
        with suppress(OSError, UserError):  # it was not ours, or its process lives
            descriptor = lock_file(left / lock, "in use")
            shutil.rmtree(left, ignore_errors=True)
            os.close(descriptor)


def _check_free(path: Path) -> None:
    """An empty folder may be there; the run takes its place."""
    if path.is_symlink() or (path.exists() and any(path.iterdir())):
        raise UserError(
            f"run folder {path} exists: choose another --run.name, "
            f"or go on with it: {command('train', '--resume', path)}"
        )
