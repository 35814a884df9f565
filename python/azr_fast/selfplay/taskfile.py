"""Tasks in files: what `seeding.file` reads and `azr-fast seed` writes.

A line of the text form is one task as JSON: kind, key, payload, parents, order and label. The other
form is the database of a run (`selfplay.buffer`). A game checks what a file says.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from azr_fast.errors import UserError
from azr_fast.types import Task

_SQLITE = b"SQLite format 3\0"  # https://www.sqlite.org/fileformat.html, section 1.3
_LAST_STEP = 2**62
_REMEDY = "give the output of `azr-fast seed`, or the tasks.db of a run"


class _Row(BaseModel):
    """A task as a file spells it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    kind: str
    key: str
    payload: dict[str, JsonValue]
    parents: list[str] = []
    order: int = 1
    label: str = "execution"

    def task(self) -> Task:
        parents = tuple(self.parents)
        return Task(self.kind, self.key, self.payload, parents, self.order, self.label)


def read_tasks(file: str, seeds_only: bool = False) -> list[Task]:
    """The tasks of a file, in its order; nothing is checked but their form. With `seeds_only`,
    of a run's database those that it began with.

    Raises UserError, which names the file and the line, for what holds no tasks.
    """
    path = Path(file).expanduser()
    try:
        with path.open("rb") as stream:
            is_database = stream.read(len(_SQLITE)) == _SQLITE
        tasks = list(_stored(path, seeds_only) if is_database else _written(path))
    except OSError as error:
        raise UserError(f"cannot read seeding.file {path}: {error.strerror}: {_REMEDY}") from None
    except sqlite3.Error as error:
        raise UserError(
            f"seeding.file {path} is no database of tasks ({error}): {_REMEDY}"
        ) from None
    if not tasks:
        raise UserError(f"seeding.file {path} holds no tasks: {_REMEDY}")
    return tasks


def write_tasks(path: Path, tasks: Iterable[Task]) -> None:
    """Write the text form, whole or not at all. Raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.writelines(_line(task) for task in tasks)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def _line(task: Task) -> str:
    fields: dict[str, Any] = {
        "kind": task.kind,
        "key": task.key,
        "payload": dict(task.payload),
        "parents": task.parents,
        "order": task.order,
        "label": task.label,
    }
    return json.dumps(fields) + "\n"


def _written(path: Path) -> Iterator[Task]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield _read(line, f"{path}, line {number}")


def _stored(path: Path, seeds_only: bool) -> Iterator[Task]:
    """Tasks of a run's database, which may be in use: it is only read."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        columns = {column[1] for column in database.execute("PRAGMA table_info(tasks)")}
        order_column = '"order"' if "order" in columns else "1"  # older runs have none
        rows = database.execute(
            f"SELECT id, kind, key, payload, parents, {order_column} FROM tasks "
            "WHERE step <= ? ORDER BY id",
            (0 if seeds_only else _LAST_STEP,),
        )
        for number, kind, key, payload, parents, order in rows:
            names = f'"kind": {json.dumps(kind)}, "key": {json.dumps(key)}'
            fields = f'"payload": {payload}, "parents": {parents}, "order": {order}'
            yield _read(f"{{{names}, {fields}}}".encode(), f"{path}, task {number}")


def _read(line: bytes, place: str) -> Task:
    """A task from JSON; a lone surrogate, which a payload may hold, is text as well."""
    try:
        fields = json.loads(line)
        return _Row.model_validate(fields).task()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        reason = f"{where}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        reason = f"not JSON: {error}"
    raise UserError(f"seeding.file {place} is no task ({reason}): {_REMEDY}")
