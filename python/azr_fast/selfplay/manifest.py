"""What a run's task file says of each task beside the task: where it came from, what it passed,
how often it was solved.

`tasks.db` is a SQLite file in WAL mode: others may read it while a run goes on, and see it as it
was when the newest step began. The table `tasks` has a row for each task that was ever posed:

    id        the order in which tasks were posed, from 1
    kind      the task type
    key       what tells tasks of a type apart
    payload   JSON object: the task as its game keeps it
    parents   JSON list: keys of the tasks that it was made from
    order     2 for a task that was made of a failed solution, else 1
    step      the step that posed it; 0 is the seeding
    accuracy  the solve rate that priced it when it was posed; null where it was not priced
    role      "proposer" or "solver": who spoke in the episode that posed it
    episode   JSON list: the id of that episode in its step, as in the samples
    version   how many updates the weights that posed it had seen
    seed      the seed of what its proposal was made from (`types.Source`), in decimal digits
    label     where the right answer comes from: "execution", "vote", "tests", …
    checks    JSON list: the checks that it passed, by the names that its game gives them
    hash      SHA-256, in hex, of kind and payload

role, episode, version and seed are null for tasks that a game starts with and for those that older
versions of azr-fast posed, which noted no checks and no solves either.

The table `solves` has a row for each step in which a task was solved, when it was priced or later:
task (an id), step, answers (solutions that came to a verdict), correct (those that passed). The
view `manifests` is `tasks` with three more columns: answers, correct (sums over all steps) and
last_solved (the newest such step, or null).

The table `pools` has a row for each task that the pool of an iteration took: pool (the iteration,
from 1), task (an id), payload and label (the task with what its solutions agreed on), and rate (the
share of them that did).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from azr_fast.types import Episode, Posed, Task

_TABLES = """
CREATE TABLE IF NOT EXISTS tasks (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    parents TEXT NOT NULL,
    step INTEGER NOT NULL,
    accuracy REAL,
    UNIQUE (kind, key)
);
CREATE TABLE IF NOT EXISTS solves (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL REFERENCES tasks (id),
    step INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    correct INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS pools (
    id INTEGER PRIMARY KEY,
    pool INTEGER NOT NULL,
    task INTEGER NOT NULL REFERENCES tasks (id),
    payload TEXT NOT NULL,
    label TEXT NOT NULL,
    rate REAL NOT NULL,
    UNIQUE (pool, task)
);
CREATE INDEX IF NOT EXISTS solves_by_task ON solves (task);
CREATE VIEW IF NOT EXISTS manifests AS
    SELECT tasks.*,
           COALESCE(SUM(answers), 0) AS answers,
           COALESCE(SUM(correct), 0) AS correct,
           MAX(solves.step) AS last_solved
    FROM tasks LEFT JOIN solves ON solves.task = tasks.id
    GROUP BY tasks.id;
"""
# Those that the first version of the file lacks.
_COLUMNS = {
    "order": "INTEGER NOT NULL DEFAULT 1",
    "role": "TEXT",
    "episode": "TEXT",
    "version": "INTEGER",
    "seed": "TEXT",
    "label": "TEXT NOT NULL DEFAULT 'execution'",
    "checks": "TEXT NOT NULL DEFAULT '[]'",
    "hash": "TEXT",
}


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables, or bring those of an older version up to date."""
    db.executescript("BEGIN IMMEDIATE;" + _TABLES)  # all at once: a kill leaves the older file
    there = {column[1] for column in db.execute("PRAGMA table_info(tasks)")}
    for name in [name for name in _COLUMNS if name not in there]:
        db.execute(f'ALTER TABLE tasks ADD COLUMN "{name}" {_COLUMNS[name]}')
    older = db.execute("SELECT id, kind, payload FROM tasks WHERE hash IS NULL").fetchall()
    hashes = [(task_hash(kind, json.loads(payload)), row) for row, kind, payload in older]
    db.executemany("UPDATE tasks SET hash = ? WHERE id = ?", hashes)
    db.commit()


def row_of(task: Task, step: int, origin: Episode | None) -> dict[str, Any]:
    """A task as a row of the table, without what is known only later."""
    return {
        "kind": task.kind,
        "key": task.key,
        "payload": json.dumps(dict(task.payload)),
        "parents": json.dumps(task.parents),
        "order": task.order,
        "step": step,
        "label": task.label,
        "checks": json.dumps(task.checks),
        "hash": task_hash(task.kind, task.payload),
        **(_origin(origin) if origin else {}),
    }


def _origin(episode: Episode) -> dict[str, Any]:
    return {
        "role": str(episode.role),
        "episode": json.dumps(episode.id),
        "version": episode.version,
        "seed": str(episode.source.seed) if episode.source else None,
    }


def tasks_of(
    db: sqlite3.Connection, where: str = "", values: Sequence[int] = ()
) -> Iterator[tuple[int, Posed]]:
    """The tasks of a file in the order in which they were posed, each with its id."""
    columns = 'id, kind, key, payload, parents, "order", label, checks, step, accuracy'
    for row in db.execute(f"SELECT {columns} FROM tasks {where} ORDER BY id", values):
        number, kind, key, payload, parents, order, label, checks, step, accuracy = row
        parts = tuple(json.loads(parents)), order, label, tuple(json.loads(checks))
        yield number, Posed(Task(kind, key, json.loads(payload), *parts), step, accuracy)


def pools_of(db: sqlite3.Connection) -> Iterator[tuple[int, Task]]:
    """The tasks of all pools in the order in which they were chosen, each with its pool."""
    stored = dict(tasks_of(db))
    for pool, task, payload, label, rate in db.execute(
        "SELECT pool, task, payload, label, rate FROM pools ORDER BY id"
    ):
        labelled = replace(stored[task].task, payload=json.loads(payload), label=label, rate=rate)
        yield pool, labelled


def task_hash(kind: str, payload: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of a task's kind and payload, whatever the order of its keys."""
    text = json.dumps([kind, dict(payload)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
