import random
import sqlite3
from contextlib import closing

import pytest

from azr_fast.errors import UserError
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.types import Task


def task(name, kind="deduction", **payload):
    return Task(kind, str(name), {"program": f"p{name}", **payload}, ("parent",))


def test_a_key_is_admitted_once_per_type(tmp_path):
    buffer = TaskBuffer(tmp_path / "tasks.db", 10)
    assert buffer.add(task(1), step=1)
    assert not buffer.add(task(1), step=2)
    assert buffer.add(task(1, kind="abduction"), step=2)
    assert buffer.count("deduction") == buffer.count("abduction") == 1


def test_06_full_buffer_evicts_the_oldest_and_keeps_taking_new_tasks(tmp_path):
    buffer = TaskBuffer(tmp_path / "tasks.db", capacity=16)
    for name in range(100):
        assert buffer.add(task(name), step=name), "a full buffer must not refuse new tasks"
    drawn = buffer.draw(["deduction"], 100, random.Random(0))
    assert {one.key for one in drawn} == {str(name) for name in range(84, 100)}


def test_12_eviction_does_not_make_an_old_task_new_again(tmp_path):
    buffer = TaskBuffer(tmp_path / "tasks.db", capacity=1)
    buffer.add(task(1), step=1)
    buffer.add(task(2), step=1)
    assert not buffer.add(task(1), step=2)


def test_draws_are_without_replacement_over_the_union_and_follow_the_seed(tmp_path):
    buffer = TaskBuffer(tmp_path / "tasks.db", 100)
    for name in range(10):
        buffer.add(task(name), 0)
        buffer.add(task(name, kind="abduction"), 0)
    kinds = ["deduction", "abduction"]
    drawn = buffer.draw(kinds, 15, random.Random(7))
    assert len({(one.kind, one.key) for one in drawn}) == 15
    assert {one.kind for one in drawn} == set(kinds)
    assert drawn == buffer.draw(kinds, 15, random.Random(7))
    assert len(buffer.draw(kinds, 99, random.Random(7))) == 20
    assert buffer.draw(["induction"], 3, random.Random(7)) == []


def test_everything_survives_a_reopening(tmp_path):
    path = tmp_path / "tasks.db"
    buffer = TaskBuffer(path, 10)
    tasks = [task(name, pairs=[["1", "2"]], text="é\ud800") for name in range(5)]
    for one in tasks:
        buffer.add(one, 3)
    buffer.close()
    again = TaskBuffer(path, 10)
    drawn = sorted(again.draw(["deduction"], 5, random.Random(0)), key=lambda one: one.key)
    assert drawn == tasks
    assert again.known("4")
    assert not again.known("5")


def test_rewinding_restores_the_window_of_the_watermark(tmp_path):
    buffer = TaskBuffer(tmp_path / "tasks.db", capacity=3)
    for name in range(3):
        buffer.add(task(name), 1)
    mark = buffer.watermark()
    for name in range(3, 6):
        buffer.add(task(name), 2)
    buffer.rewind(mark)
    keys = {one.key for one in buffer.draw(["deduction"], 9, random.Random(0))}
    assert keys == {"0", "1", "2"}
    assert buffer.add(task(4), 2)


def test_a_watermark_is_on_disk(tmp_path):
    path = tmp_path / "tasks.db"
    buffer = TaskBuffer(path, 3)
    buffer.add(task(1), 1)
    mark = buffer.watermark()
    other = sqlite3.connect(path)
    assert other.execute("SELECT MAX(id) FROM tasks").fetchone() == (mark[0],)


def test_a_commit_is_synced_to_the_disk(tmp_path):
    """SQLite in WAL mode syncs commits at FULL (2) alone."""
    buffer = TaskBuffer(tmp_path / "tasks.db", 3)
    assert buffer._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert buffer._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_database_behind_the_watermark_is_refused(tmp_path):
    buffer = TaskBuffer(tmp_path / "tasks.db", 3)
    buffer.add(task(1), 1)
    mark = buffer.watermark()
    buffer.add(task(2), 2)
    with pytest.raises(UserError, match=r"tasks\.db ends at task 2 and the checkpoint at 3: put"):
        buffer.rewind(3)
    assert buffer.count("deduction") == 2
    buffer.rewind(mark)


def test_accuracy_is_kept_beside_the_task(tmp_path):
    path = tmp_path / "tasks.db"
    buffer = TaskBuffer(path, 3)
    buffer.add(task(1), 1)
    buffer.record_accuracy(task(1), 0.25)
    buffer.close()
    assert sqlite3.connect(path).execute("SELECT accuracy FROM tasks").fetchall() == [(0.25,)]


def test_orders_and_payloads_are_those_of_a_resumed_run(tmp_path):
    task = Task("kind", "key", {"pair": (1, 2)}, parents=("a",), order=2)
    with closing(TaskBuffer(tmp_path / "tasks.db", 10)) as buffer:
        buffer.add(task, 1)
        (first,) = buffer.draw(["kind"], 1, random.Random(0))
        buffer.watermark()
    with closing(TaskBuffer(tmp_path / "tasks.db", 10)) as buffer:
        (again,) = buffer.draw(["kind"], 1, random.Random(0))
    assert again == first == Task("kind", "key", {"pair": [1, 2]}, ("a",), 2)


def test_a_file_of_an_older_version_holds_tasks_of_order_one(tmp_path):
    path = tmp_path / "tasks.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, "
            "payload TEXT NOT NULL, parents TEXT NOT NULL, step INTEGER NOT NULL, accuracy REAL, "
            "UNIQUE (kind, key))"
        )
        db.execute("INSERT INTO tasks VALUES (1, 'kind', 'key', '{}', '[]', 0, NULL)")
        db.commit()
    with closing(TaskBuffer(path, 10)) as buffer:
        (old,) = buffer.draw(["kind"], 1, random.Random(0))
        assert buffer.add(Task("kind", "new", {}, order=2), 1)
    assert old == Task("kind", "key", {}, (), 1)
