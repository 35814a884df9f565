"""Tasks of a run as files for others: lines of JSON, Parquet, a folder for `datasets`."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from azr_fast.errors import UserError
from azr_fast.observe.files import json_line, partial_of, write_whole
from azr_fast.observe.typed import how_to_install

Record = Mapping[str, Any]


def export_tasks(records: Sequence[Record], target: Path) -> None:
    """Write tasks with their manifests: the suffix of `target` chooses the format, .jsonl or
    .parquet; a path without a suffix becomes a folder that `datasets.load_from_disk` opens.

    Lines of JSON nest what is nested. The columns of the others are numbers and text: each field of
    a task is a column `task.NAME`, JSON text where it is no text. UserError for another suffix, a
    package that is missing, and what cannot be written.
    """
    writers: dict[str, Callable[[Sequence[Record], Path], None]] = {
        ".jsonl": _write_lines,
        ".parquet": _write_parquet,
        "": _write_dataset,
    }
    write = writers.get(target.suffix)
    if write is None:
        raise UserError(
            f"no tasks are written as {target.suffix}: give FILE.jsonl, FILE.parquet, or a folder "
            "without a suffix for the library datasets"
        )
    used = target.is_dir() and (target.suffix or any(target.iterdir()))
    if used or Path(os.path.abspath(target)) == Path.cwd():
        raise UserError(f"{target} is a folder that is in use: choose another place")
    try:
        write(records, target)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror or error}; choose another place, or free "
            "some space"
        ) from None


def _write_lines(records: Sequence[Record], target: Path) -> None:
    write_whole(target, "".join(map(json_line, records)))


def _write_parquet(records: Sequence[Record], target: Path) -> None:
    parquet, pyarrow = (_package(name, "Parquet") for name in ("pyarrow.parquet", "pyarrow"))
    partial = partial_of(target)
    try:
        parquet.write_table(pyarrow.table(_columns(records)), partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _write_dataset(records: Sequence[Record], target: Path) -> None:
    datasets = _package("datasets", "a folder of datasets")
    partial = partial_of(target)
    try:
        # Its own fingerprint pickles the table, which fails with some versions of pyarrow.
        columns = _columns(records)
        name = hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:16]
        table = datasets.table.InMemoryTable.from_pydict(columns)
        datasets.Dataset(table, fingerprint=name).save_to_disk(partial)
        if target.is_dir():
            target.rmdir()
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _columns(records: Sequence[Record]) -> dict[str, list[Any]]:
    """The columns of all records, null where one lacks it."""
    rows = [flat(record) for record in records]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def flat(record: Record) -> dict[str, str | int | float | None]:
    """A task as a row of numbers and text. Lone halves of surrogate pairs, which UTF-8 has no bytes
    for, become their escapes."""
    row = {name: value for name, value in record.items() if name != "payload"}
    row |= {f"task.{name}": value for name, value in record["payload"].items()}
    texts = {name for name in row if name.startswith("task.")}
    return {name: _plain(value, as_text=name in texts) for name, value in row.items()}


def _plain(value: Any, as_text: bool) -> str | int | float | None:
    if value is None or (isinstance(value, int | float) and not as_text):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "backslashreplace").decode()


def _package(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        raise UserError(f"{what} needs {missing}: {how_to_install('data')}") from None
