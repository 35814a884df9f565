"""Which file has the records of which benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from azr_fast.errors import UserError
from azr_fast.observe.places import spelled


def data_files(typed: Sequence[str], names: Sequence[str]) -> dict[str, Path]:
    """From FILE, or NAME=FILE where NAME is one of the benchmarks, to the file of each name; that
    of "" is for all which have none. Raises UserError where a benchmark has two."""
    files: dict[str, Path] = {}
    for word in typed:
        name, mark, file = word.partition("=")
        name = spelled(name)
        if not mark or name not in names:
            name, file = "", word
        if name in files:
            raise UserError(f"two files are given for {name or 'all benchmarks'}: give one")
        files[name] = Path(file).expanduser()
    return files
