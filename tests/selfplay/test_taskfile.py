"""Files of tasks: what is written is read, and what cannot be read is refused by name."""

import json
import sqlite3

import pytest

from azr_fast.errors import UserError
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.taskfile import read_tasks, write_tasks
from azr_fast.types import Task

TASKS = [
    Task("a", "1", {"text": "é\n", "pairs": [["1", "2"]], "shown": 1, "none": None}, ("p", "q")),
    Task("b", "2", {}, (), order=2),
]
LINE = json.dumps({"kind": "a", "key": "1", "payload": {}})


def test_what_is_written_is_read(tmp_path):
    write_tasks(tmp_path / "tasks.jsonl", TASKS)
    assert read_tasks(str(tmp_path / "tasks.jsonl")) == TASKS
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.jsonl"]


def test_parents_and_order_may_be_left_out(tmp_path):
    (tmp_path / "tasks.jsonl").write_text(f"{LINE}\n\n{LINE}")
    assert read_tasks(str(tmp_path / "tasks.jsonl")) == [Task("a", "1", {})] * 2


def test_the_database_of_a_run_is_read_while_it_goes_on(tmp_path):
    buffer = TaskBuffer(tmp_path / "tasks.db", 10)
    buffer.add(TASKS[0], 0)
    buffer.add(TASKS[1], 5)
    buffer.watermark()
    assert read_tasks(str(tmp_path / "tasks.db")) == TASKS
    assert read_tasks(str(tmp_path / "tasks.db"), seeds_only=True) == TASKS[:1]
    buffer.close()
    assert read_tasks(str(tmp_path / "tasks.db")) == TASKS


def test_the_database_of_an_older_version_is_read(tmp_path):
    database = sqlite3.connect(tmp_path / "tasks.db")
    database.execute("CREATE TABLE tasks (id, kind, key, payload, parents, step, accuracy)")
    database.execute("INSERT INTO tasks VALUES (1, 'a', '1', '{}', '[]', 0, NULL)")
    database.commit()
    database.close()
    assert read_tasks(str(tmp_path / "tasks.db")) == [Task("a", "1", {})]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no tasks"),
        (b"\n \n", "holds no tasks"),
        (b"kind,key\na,1\n", "line 1 is no task"),
        (f"{LINE}\n[1, 2]\n".encode(), "line 2 is no task"),
        (f"{LINE}\n{LINE[:-4]}".encode(), "line 2 is no task"),
        (b'{"kind": "a", "key": "1"}', "payload: Field required"),
        (b'{"kind": "a", "key": 1, "payload": {}}', "key: Input should be a valid string"),
        (b'{"kind": "a", "key": "1", "payload": [], "more": 1}', "payload: Input should be"),
        (b'{"kind": "a", "key": "1", "payload": {}, "more": 1}', "more: Extra inputs"),
        (b"\xff\xfe\x00", "line 1 is no task"),
        (b"[" * 100_000, "line 1 is no task"),
        (b"SQLite format 3\0 and then nothing", "is no database of tasks"),
    ],
)
def test_a_file_that_holds_no_tasks_is_refused_by_name(tmp_path, content, told):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError) as refusal:
        read_tasks(str(path))
    message = str(refusal.value)
    assert told in message
    assert str(path) in message
    assert "azr-fast seed" in message
    assert "\n" not in message


@pytest.mark.parametrize("table", ["CREATE TABLE others (id)", "CREATE TABLE tasks (id, kind, key, payload, parents, step)"])  # fmt: skip
def test_another_database_is_refused_by_name(tmp_path, table):
    database = sqlite3.connect(tmp_path / "other.db")
    database.execute(table)
    database.close()
    with pytest.raises(UserError, match=r"other\.db"):
        read_tasks(str(tmp_path / "other.db"))


@pytest.mark.parametrize("name", ["nothing.jsonl", "."])
def test_what_is_no_file_is_refused_by_name(tmp_path, name):
    with pytest.raises(UserError, match=r"cannot read seeding\.file"):
        read_tasks(str(tmp_path / name))
