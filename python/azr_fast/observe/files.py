"""Files that are whole at any instant, whatever kills the process."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from azr_fast.errors import UserError


def write_whole(path: Path, text: str) -> None:
    """Replace `path` by `text` at once: a reader sees the old file or the new one."""
    partial = partial_of(path)
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)  # it would take room on a disk that is full
        raise
    sync_folder(path.parent)


def partial_of(path: Path) -> Path:
    """Where a file that is to be `path` is written. OSError for what can name no file: `.`, ``."""
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return path.with_name(f".{path.name}.partial")


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file of lines; a last line that was cut off by a kill is left out.

    UserError for any other line that is none.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield _record(line, f"{path}, line {number}")


def _record(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:  # not JSON, or not UTF-8
        record = None
    if not isinstance(record, dict):
        raise UserError(f"{where} is damaged: delete the line, or restore the file from a copy")
    return record


def json_line(record: object) -> str:
    """One line of strict ASCII JSON: a number that is not finite becomes null."""
    return json.dumps(finite(record), allow_nan=False) + "\n"


def finite(value: object) -> object:
    """`value` with null for every number that JSON has no name for."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
