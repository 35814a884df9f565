"""Output that cannot end the work: what cannot be written is dropped."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


class _Droppable(io.FileIO):
    """A descriptor whose writes never fail.

    A reader that went away gives EPIPE, a lost terminal EIO, a full disk ENOSPC, a full pipe that
    does not block EAGAIN (write(2)). Later writes are tried again: a disk may have room by then.
    """

    def write(self, data: Buffer, /) -> int:
        """Write what can be written of `data`; the rest is dropped where that fails."""
        try:
            written = super().write(data)
        except OSError:
            written = None
        # FileIO gives None for EAGAIN.
        return memoryview(data).nbytes if written is None else written


def open_closed_descriptors() -> None:
    """Open /dev/null as each of descriptors 0 to 2 that is closed (`>&-`).

    Otherwise the next file that is opened, such as the lock of a run, would get that number, and
    what native code prints.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


def drop_unwritable(name: str) -> None:
    """Make sys.stdout or sys.stderr (`name`) drop what cannot be written, at exit too.

    A stream that the caller of this program put there stays as it is.
    """
    stream: TextIO | None = getattr(sys, name)
    if stream is getattr(sys, f"__{name}__"):
        raw = _Droppable({"stdout": 1, "stderr": 2}[name], "w", closefd=False)
        encoding = stream.encoding if stream else None
        text = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding, errors="replace", line_buffering=True
        )
        setattr(sys, name, text)
