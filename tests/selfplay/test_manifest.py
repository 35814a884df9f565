"""What the task file says of each task: origin, checks, hash, how often it was solved."""

import json
import random
import sqlite3
from contextlib import closing

import pytest

from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.manifest import task_hash
from azr_fast.types import Episode, Family, Role, Source, Status, Task, Verdict

SEED = 2**80 + 1  # games may draw larger ones than SQLite's integers
TASK = Task("kind", "key", {"x": [1]}, ("a", "b"), 2, "vote", ("parsed", "ran"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tasks.db"


@pytest.fixture
def buffer(path):
    with closing(TaskBuffer(path, 10)) as buffer:
        yield buffer


def manifests(path):
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM manifests ORDER BY id")]


def solved(task, *statuses):
    solves = [
        Episode((0, i), Role.SOLVER, task.kind, task=task, verdict=Verdict(status, ""))
        for i, status in enumerate(statuses)
    ]
    return Family(None, solves)


def test_a_task_is_stored_with_its_origin(buffer, path):
    origin = Episode((3, 1), Role.PROPOSER, "kind", source=Source("kind", (), SEED), version=6)
    assert buffer.add(TASK, 7, origin)
    buffer.watermark()
    (row,) = manifests(path)
    assert json.loads(row.pop("payload")) == {"x": [1]}
    assert row == {
        "id": 1, "kind": "kind", "key": "key", "parents": '["a", "b"]', "order": 2, "step": 7,
        "accuracy": None, "role": "proposer", "episode": "[3, 1]", "version": 6, "seed": str(SEED),
        "label": "vote", "checks": '["parsed", "ran"]', "hash": task_hash("kind", {"x": [1]}),
        "answers": 0, "correct": 0, "last_solved": None,
    }  # fmt: skip


def test_a_task_that_nobody_posed_has_no_origin(buffer, path):
    buffer.add(Task("kind", "first", {}), 0)
    buffer.watermark()
    (row,) = manifests(path)
    assert [row[name] for name in ("role", "episode", "version", "seed")] == [None] * 4


def test_a_task_comes_back_as_it_was_stored(buffer, path):
    buffer.add(TASK, 1)
    buffer.watermark()
    with closing(TaskBuffer(path, 10)) as again:
        assert again.draw(["kind"], 1, random.Random(0)) == [TASK]


def test_a_hash_follows_from_what_the_task_is_alone():
    assert task_hash("a", {"x": 1, "y": 2}) == task_hash("a", {"y": 2, "x": 1})
    others = [("b", {"x": 1, "y": 2}), ("a", {"x": 1, "y": 3}), ("a", {"x": 1})]
    assert len({task_hash(*one) for one in [("a", {"x": 1, "y": 2}), *others]}) == 4


def test_solves_add_up_over_steps(buffer, path):
    buffer.add(TASK, 1)
    right, wrong, failed = Status.PASSED, Status.WRONG, Status.FAILED
    buffer.record_solves([solved(TASK, right, wrong, failed), solved(TASK, right)], 1)
    buffer.record_solves([solved(TASK, failed)], 2)
    buffer.record_solves([solved(TASK, wrong), solved(Task("kind", "unknown", {}), right)], 5)
    buffer.watermark()
    (row,) = manifests(path)
    assert (row["answers"], row["correct"], row["last_solved"]) == (4, 2, 5)


def test_solves_are_undone_with_their_step(buffer, path):
    buffer.add(TASK, 1)
    buffer.record_solves([solved(TASK, Status.PASSED)], 1)
    mark = json.loads(json.dumps(buffer.watermark()))  # as a checkpoint keeps it
    buffer.add(Task("kind", "later", {}), 2)
    buffer.record_solves([solved(TASK, Status.PASSED, Status.WRONG)], 2)
    buffer.watermark()
    buffer.rewind(mark)
    (row,) = manifests(path)
    assert (row["answers"], row["correct"], row["last_solved"]) == (1, 1, 1)


def test_a_readers_view_is_that_of_the_last_watermark(buffer, path):
    buffer.add(TASK, 1)
    buffer.watermark()
    buffer.record_solves([solved(TASK, Status.PASSED)], 2)
    (row,) = manifests(path)
    assert row["answers"] == 0


FIRST = """
CREATE TABLE tasks (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL,
  payload TEXT NOT NULL, parents TEXT NOT NULL, {order} step INTEGER NOT NULL, accuracy REAL,
  UNIQUE (kind, key));
INSERT INTO tasks (kind, key, payload, parents, step) VALUES ('kind', 'old', '{{"x": 1}}', '[]', 3);
"""


@pytest.mark.parametrize("order", ["", '"order" INTEGER NOT NULL DEFAULT 1,'])
def test_the_file_of_an_older_run_is_brought_up_to_date(path, order):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(FIRST.format(order=order))
    with closing(TaskBuffer(path, 10)) as buffer:
        old = Task("kind", "old", {"x": 1})
        buffer.rewind(1)  # such a run's checkpoint has a number alone
        assert not buffer.add(old, 4)
        buffer.record_solves([solved(old, Status.PASSED)], 4)
        buffer.watermark()
        (row,) = manifests(path)
        assert (row["hash"], row["role"], row["checks"]) == (
            *(task_hash("kind", {"x": 1}), None, "[]"),
        )
        assert (row["label"], row["answers"], row["last_solved"]) == ("execution", 1, 4)
        buffer.rewind(1)
        assert [row["answers"] for row in manifests(path)] == [0]


def test_a_run_notes_who_posed_what_and_how_often_it_was_solved(play):
    trainer, raised = play(**{"run.steps": 3, "play.proposals": 6})
    assert raised is None
    rows = manifests(trainer.run.tasks)
    lines = [json.loads(line) for line in trainer.run.metrics.read_text().splitlines()]
    posed = [row for row in rows if row["step"]]
    assert posed, "no proposal was valid: the test saw nothing"
    for row in posed:
        assert (row["role"], row["version"]) == ("proposer", row["step"] - 1)
        assert row["answers"] >= 2  # it was priced
        assert row["accuracy"] is not None
        assert row["last_solved"] >= row["step"]
    solves = sum(line["groups"]["even/solver"]["answers"] for line in lines)
    assert sum(row["answers"] for row in rows) == solves
