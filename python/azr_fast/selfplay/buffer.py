"""The task buffers: one window of tasks per type, deduplicated, kept in SQLite.

Memory serves the reads; the database is the durable log behind it. A row is never deleted while a
run goes on: a task counts as evicted once `capacity` newer ones of its type exist. So novelty is
judged against the whole run and every type, and dropping the rows after a watermark restores any
earlier state.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from azr_fast.errors import UserError
from azr_fast.types import Posed, Task

# parents are for whoever studies a run: nothing here reads them to decide.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    parents TEXT NOT NULL,
    "order" INTEGER NOT NULL DEFAULT 1,
    step INTEGER NOT NULL,
    accuracy REAL,
    UNIQUE (kind, key)
)
"""


_ORDER = 'ALTER TABLE tasks ADD COLUMN "order" INTEGER NOT NULL DEFAULT 1'


class TaskBuffer:
    """Task windows over one SQLite file. It belongs to the thread that opened it.

    `step` is the one that is being played.
    """

    def __init__(self, path: Path | str, capacity: int) -> None:
        assert capacity > 0
        self._path = path
        self._capacity = capacity
        self.step = 0
        self._db = sqlite3.connect(path)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # in WAL mode, NORMAL syncs no commit
        self._db.execute(_SCHEMA)
        if "order" not in {column[1] for column in self._db.execute("PRAGMA table_info(tasks)")}:
            self._db.execute(_ORDER)  # the file of an older version
        self._load()

    def _load(self) -> None:
        self._windows: dict[str, deque[Posed]] = {}
        self._admitted: set[tuple[str, str]] = set()
        self._known: set[str] = set()
        rows = self._db.execute(
            'SELECT kind, key, payload, parents, "order", step, accuracy FROM tasks ORDER BY id'
        )
        for kind, key, payload, parents, order, step, accuracy in rows:
            task = Task(kind, key, json.loads(payload), tuple(json.loads(parents)), order)
            self._remember(Posed(task, step, accuracy))

    def _remember(self, posed: Posed) -> None:
        task = posed.task
        self._admitted.add((task.kind, task.key))
        self._known.add(task.key)
        self._windows.setdefault(task.kind, deque(maxlen=self._capacity)).append(posed)

    def add(self, task: Task, step: int) -> bool:
        """Append a task; False when its type has known the key before. Evicts the oldest."""
        if (task.kind, task.key) in self._admitted:
            return False
        payload, parents = json.dumps(dict(task.payload)), json.dumps(task.parents)
        self._db.execute(
            'INSERT INTO tasks (kind, key, payload, parents, "order", step) '
            "VALUES (?, ?, ?, ?, ?, ?)",
            (task.kind, task.key, payload, parents, task.order, step),
        )
        # As a resumed run has it.
        self._remember(Posed(replace(task, payload=json.loads(payload)), step))
        return True

    def known(self, key: str) -> bool:
        """Whether a task with this key was ever added, to any type."""
        return key in self._known

    def draw(self, kinds: Sequence[str], count: int, rng: random.Random) -> list[Task]:
        """Up to `count` tasks of the given types, uniform and without replacement."""
        pool = self.posed(kinds)
        return [posed.task for posed in rng.sample(pool, min(count, len(pool)))]

    def posed(self, kinds: Sequence[str]) -> list[Posed]:
        """The tasks of the given types that are not evicted, by type, the oldest first."""
        return [posed for kind in kinds for posed in self._windows.get(kind, ())]

    def count(self, kind: str) -> int:
        """Tasks of this type that are not evicted."""
        return len(self._windows.get(kind, ()))

    def record_accuracy(self, task: Task, accuracy: float) -> None:
        """Note the Monte-Carlo solve rate of a task beside it."""
        window = self._windows.get(task.kind, deque())
        for place in range(len(window) - 1, -1, -1):  # tasks that are priced are among the newest
            if window[place].task.key == task.key:
                window[place] = replace(window[place], accuracy=accuracy)
                break
        self._db.execute(
            "UPDATE tasks SET accuracy = ? WHERE kind = ? AND key = ?",
            (accuracy, task.kind, task.key),
        )

    def watermark(self) -> int:
        """A number that names the present state; everything up to it is on disk on return."""
        self._db.commit()
        return self._newest()

    def _newest(self) -> int:
        (newest,) = self._db.execute("SELECT COALESCE(MAX(id), 0) FROM tasks").fetchone()
        return int(newest)

    def rewind(self, watermark: int) -> None:
        """Forget every task added after `watermark` was taken.

        Raises UserError when the database ends before it: it is not the one of the checkpoint.
        """
        if self._newest() < watermark:
            raise UserError(
                f"{self._path} ends at task {self._newest()} and the checkpoint at {watermark}: "
                "put back the file that belongs to it, or remove that checkpoint"
            )
        self._db.execute("DELETE FROM tasks WHERE id > ?", (watermark,))
        self._db.commit()
        self._load()

    def close(self) -> None:
        """Commit and close the database."""
        self._db.commit()
        self._db.close()
