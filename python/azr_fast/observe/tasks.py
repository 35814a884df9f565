"""The tasks of a run with what is known of each, read while a process may still write them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azr_fast.errors import UserError

Record = Mapping[str, Any]

_NESTED = ("payload", "parents", "episode", "checks")  # columns that hold JSON


def read_tasks(path: Path) -> list[dict[str, Any]]:
    """Every task of a database, oldest first, with its manifest: the columns that
    `selfplay.manifest` describes by their names, JSON read, and `solve_rate`. No file: no tasks.

    The file of an older version lacks some columns; those that this version does not know are kept.
    UserError when the file is no such database.
    """
    if not path.exists():
        return []
    try:
        with closing(_open(path)) as database:
            database.row_factory = sqlite3.Row
            views = database.execute("SELECT name FROM sqlite_master WHERE name = 'manifests'")
            table = "manifests" if views.fetchone() else "tasks"
            rows = database.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
            return [_record(row) for row in rows]
    except (sqlite3.Error, ValueError, UnicodeError) as error:
        if "no such table" in str(error):  # the run has only begun
            return []
        raise UserError(
            f"{path} cannot be read ({error}): restore it from a copy, or resume the run from a "
            "checkpoint that has its own"
        ) from None


def _open(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing. A database that nobody writes is also read from a folder
    that may not be written, where SQLite cannot make the index of its log."""
    where = path.resolve().as_uri()
    database = sqlite3.connect(f"{where}?mode=ro", uri=True)
    try:
        database.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        database.close()
        if path.with_name(f"{path.name}-wal").exists():
            raise
        return sqlite3.connect(f"{where}?mode=ro&immutable=1", uri=True)
    return database


def _record(row: sqlite3.Row) -> dict[str, Any]:
    record = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row iterates over values
    for name in _NESTED:
        if isinstance(record.get(name), str):
            record[name] = json.loads(record[name])
    answers = record.get("answers")
    record["solve_rate"] = record["correct"] / answers if answers else record["accuracy"]
    return record


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks are asked for. What is left out asks for nothing."""

    kinds: tuple[str, ...] = ()
    first_step: int | None = None
    last_step: int | None = None
    least: float | None = None  # solve rate of all the steps in which a task was solved
    most: float | None = None
    learnable: bool = False  # solved sometimes and not always
    text: str = ""  # contained in some field of the task, whatever its case

    def choose(self, records: Iterable[Record]) -> Iterator[Record]:
        """Those of `records` that are asked for, in order."""
        return (record for record in records if self._takes(record))

    def _takes(self, record: Record) -> bool:
        step, rate = record["step"], record["solve_rate"]
        return (
            (not self.kinds or record["kind"] in self.kinds)
            and (self.first_step is None or step >= self.first_step)
            and (self.last_step is None or step <= self.last_step)
            and (self.least is None or (rate is not None and rate >= self.least))
            and (self.most is None or (rate is not None and rate <= self.most))
            and (not self.learnable or (rate is not None and 0.0 < rate < 1.0))
            and self.text.casefold() in json.dumps(record["payload"], ensure_ascii=False).casefold()
        )
