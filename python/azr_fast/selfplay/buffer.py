"""The task buffers: one window of tasks per type, deduplicated, kept in SQLite.

Memory serves the reads; the database is the durable log behind it (`selfplay.manifest` says what it
holds). A row is never deleted while a run goes on: a task counts as evicted once `capacity` newer
ones of its type exist. So novelty is judged against the whole run and every type, and dropping the
rows after a watermark restores any earlier state.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from azr_fast.errors import UserError
from azr_fast.selfplay.manifest import pools_of, prepare, row_of, tasks_of
from azr_fast.types import Episode, Family, Posed, Task

# The newest rows of `tasks`, `solves` and `pools`; in the checkpoints of older runs of fewer.
Watermark = Sequence[int] | int


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
        prepare(self._db)
        self._load()

    def _load(self) -> None:
        self._windows: dict[str, deque[Posed]] = {}
        self._rows: dict[tuple[str, str], int] = {}  # id of every task that was admitted
        self._known: set[str] = set()
        for row, posed in tasks_of(self._db):
            self._remember(row, posed)
        self._pools: dict[tuple[str, int], list[Task]] = {}
        for pool, task in pools_of(self._db):
            self._pools.setdefault((task.kind, pool), []).append(task)

    def _remember(self, row: int, posed: Posed) -> None:
        task = posed.task
        self._rows[task.kind, task.key] = row
        self._known.add(task.key)
        self._windows.setdefault(task.kind, deque(maxlen=self._capacity)).append(posed)

    def add(self, task: Task, step: int, origin: Episode | None = None) -> bool:
        """Append a task that `origin` posed; False when its type has known the key before. Evicts
        the oldest."""
        if (task.kind, task.key) in self._rows:
            return False
        row = row_of(task, step, origin)
        names, places = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
        insert = f"INSERT INTO tasks ({names}) VALUES ({places})"
        new = self._db.execute(insert, tuple(row.values())).lastrowid
        assert new is not None
        for stored in tasks_of(self._db, "WHERE id = ?", (new,)):
            self._remember(*stored)  # as a resumed run has it
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

    def choose(self, task: Task, pool: int) -> bool:
        """Add a task that was posed to the pool of an iteration, with its payload, label and rate
        as they are now; False when it is there already."""
        place = task.kind, pool
        if any(task.key == other.key for other in self._pools.get(place, ())):
            return False
        payload = json.dumps(dict(task.payload))
        self._db.execute(
            "INSERT INTO pools (pool, task, payload, label, rate) VALUES (?, ?, ?, ?, ?)",
            (pool, self._rows[task.kind, task.key], payload, task.label, task.rate),
        )
        chosen = replace(task, payload=json.loads(payload))  # as a resumed run has it
        self._pools.setdefault(place, []).append(chosen)
        return True

    def pool(self, kind: str, number: int) -> list[Task]:
        """The tasks of this type in the pool of an iteration, in the order they were chosen."""
        return list(self._pools.get((kind, number), ()))

    def count(self, kind: str) -> int:
        """Tasks of this type that are not evicted."""
        return len(self._windows.get(kind, ()))

    def record_accuracy(self, task: Task, accuracy: float) -> None:
        """Note the solve rate that priced a task beside it."""
        window = self._windows.get(task.kind, deque())
        for place in range(len(window) - 1, -1, -1):  # tasks that are priced are among the newest
            if window[place].task.key == task.key:
                window[place] = replace(window[place], accuracy=accuracy)
                break
        self._db.execute(
            "UPDATE tasks SET accuracy = ? WHERE id = ?",
            (accuracy, self._rows[task.kind, task.key]),
        )

    def record_solves(self, families: Iterable[Family], step: int) -> None:
        """Note how often each task of a step was solved, for the study of a run. Tasks that are
        not in the buffers are passed over."""
        solves = [solve for family in families for solve in family.solves if not solve.failed]
        rows = [self._rows.get((one.task.kind, one.task.key)) for one in solves if one.task]
        answers = Counter(row for row in rows if row)
        correct = Counter(row for row, one in zip(rows, solves, strict=True) if one.passed)
        self._db.executemany(
            "INSERT INTO solves (task, step, answers, correct) VALUES (?, ?, ?, ?)",
            [(row, step, count, correct[row]) for row, count in sorted(answers.items())],
        )

    def watermark(self) -> list[int]:
        """What names the present state; everything up to it is on disk on return."""
        self._db.commit()
        return self._newest()

    def _newest(self) -> list[int]:
        tables = ("tasks", "solves", "pools")
        newest = (self._db.execute(f"SELECT COALESCE(MAX(id), 0) FROM {name}") for name in tables)
        return [int(found.fetchone()[0]) for found in newest]

    def rewind(self, watermark: Watermark) -> None:
        """Forget everything that came after `watermark` was taken.

        Raises UserError when the database ends before it: it is not the one of the checkpoint.
        """
        numbers = [watermark] if isinstance(watermark, int) else watermark
        tasks, solves, pools = (*numbers, 0, 0)[:3]
        newest = self._newest()[0]
        if newest < tasks:
            raise UserError(
                f"{self._path} ends at task {newest} and the checkpoint at {tasks}: "
                "put back the file that belongs to it, or remove that checkpoint"
            )
        self._db.rollback()  # needs no room on the disk
        self._db.execute("DELETE FROM pools WHERE id > ?", (pools,))
        self._db.execute("DELETE FROM solves WHERE id > ?", (solves,))
        self._db.execute("DELETE FROM tasks WHERE id > ?", (tasks,))
        self._db.commit()  # writes nothing where nothing was deleted
        self._load()

    def close(self) -> None:
        """Commit and close the database."""
        try:
            self._db.commit()
        finally:
            self._db.close()
