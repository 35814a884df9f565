"""Tasks of a run: read with their manifests, chosen, exported."""

import json
import sqlite3
import sys
from contextlib import closing
from importlib.util import find_spec

import pytest

from azr_fast.cli.main import main
from azr_fast.errors import UserError
from azr_fast.observe.export import export_tasks, flat
from azr_fast.observe.tasks import Wanted, read_tasks
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.types import Task

PROGRAM = "def f(x):\n    return x"


@pytest.fixture
def with_tasks(run, write_tasks):
    """A run with a seed and four tasks of two types."""
    rows = [
        ("a", "seed", PROGRAM, 0, None), ("a", "k1", PROGRAM, 1, 0.0), ("b", "k2", PROGRAM, 2, 0.5),
        ("a", "k3", "def g(y): return 'Naïve'", 3, 1.0), ("b", "k4", PROGRAM, 4, None),
    ]  # fmt: skip
    write_tasks(run, rows)
    return run.path


def keys(folder, **wanted):
    return [record["key"] for record in Wanted(**wanted).choose(read_tasks(folder / "tasks.db"))]


def test_tasks_are_chosen_by_type_step_rate_and_text(with_tasks):
    assert keys(with_tasks) == ["seed", "k1", "k2", "k3", "k4"]
    assert keys(with_tasks, kinds=("b",)) == ["k2", "k4"]
    assert keys(with_tasks, first_step=1, last_step=3) == ["k1", "k2", "k3"]
    assert keys(with_tasks, least=0.5) == ["k2", "k3"]
    assert keys(with_tasks, most=0.5) == ["k1", "k2"]
    assert keys(with_tasks, learnable=True) == ["k2"]
    assert keys(with_tasks, text="NAÏVE") == ["k3"]
    assert keys(with_tasks, text="return X") == ["seed", "k1", "k2", "k4"]


def test_a_task_comes_with_its_manifest(with_tasks):
    record = read_tasks(with_tasks / "tasks.db")[2]
    assert record["payload"]["program"] == PROGRAM
    assert record["parents"] == ["seed"]
    assert (record["label"], record["checks"], len(record["hash"])) == ("execution", [], 64)
    assert record["solve_rate"] == 0.5


def test_the_solve_rate_is_that_of_all_steps_where_they_are_counted(with_tasks):
    with closing(sqlite3.connect(with_tasks / "tasks.db")) as database:
        solve = "INSERT INTO solves (task, step, answers, correct) VALUES (?, ?, ?, ?)"
        database.executemany(solve, [(3, 2, 4, 2), (3, 5, 4, 4)])
        database.commit()
    record = read_tasks(with_tasks / "tasks.db")[2]
    assert (record["accuracy"], record["solve_rate"], record["last_solved"]) == (0.5, 0.75, 5)


def test_tasks_of_an_older_version_are_read(tmp_path):
    with closing(sqlite3.connect(tmp_path / "tasks.db")) as database:
        database.execute(
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, kind TEXT, key TEXT, payload TEXT, "
            "parents TEXT, step INTEGER, accuracy REAL)"
        )
        database.execute("INSERT INTO tasks VALUES (1, 'a', 'k', '{\"n\": 1}', '[]', 3, 0.25)")
        database.commit()
    (record,) = read_tasks(tmp_path / "tasks.db")
    assert record["payload"] == {"n": 1}
    assert record["solve_rate"] == 0.25


def test_tasks_are_read_while_the_run_writes_and_the_file_is_not_changed(with_tasks):
    with closing(TaskBuffer(with_tasks / "tasks.db", 10)) as buffer:
        buffer.add(Task("a", "late", {"program": PROGRAM}), 9)
        assert keys(with_tasks)[-1] == "k4"  # what is not committed is not there
        buffer.watermark()
        assert keys(with_tasks)[-1] == "late"


def test_no_file_no_tasks_and_a_damaged_one_is_named(tmp_path):
    path = tmp_path / "tasks.db"
    assert read_tasks(path) == []
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(UserError, match=r"tasks\.db cannot be read \(file is not a database\)"):
        read_tasks(path)


def test_lines_of_json_hold_everything(with_tasks, tmp_path):
    records = read_tasks(with_tasks / "tasks.db")
    export_tasks(records, tmp_path / "tasks.jsonl")
    lines = (tmp_path / "tasks.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records


def test_a_row_is_numbers_and_text():
    payload = {"program": "\ud800x", "pairs": [[1, "a"]], "shown": 2, "none": None}
    record = {"id": 1, "accuracy": 0.5, "parents": ["k"], "payload": payload}
    assert flat(record) == {
        "id": 1, "accuracy": 0.5, "parents": '["k"]', "task.program": "\\ud800x",
        "task.pairs": '[[1, "a"]]', "task.shown": "2", "task.none": None,
    }  # fmt: skip


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_parquet_has_a_column_for_each_field(with_tasks, tmp_path):
    from pyarrow import parquet

    with closing(TaskBuffer(with_tasks / "tasks.db", 10)) as buffer:
        buffer.add(Task("c", "other", {"word": "x"}), 9)
        buffer.watermark()
    export_tasks(read_tasks(with_tasks / "tasks.db"), tmp_path / "t.parquet")
    rows = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [row["key"] for row in rows] == ["seed", "k1", "k2", "k3", "k4", "other"]
    assert (rows[2]["task.program"], rows[2]["solve_rate"]) == (PROGRAM, 0.5)
    assert (rows[5]["task.program"], rows[5]["task.word"]) == (None, "x")
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.skipif(find_spec("datasets") is None, reason="datasets is not installed")
def test_a_folder_is_opened_by_datasets(with_tasks, tmp_path):
    from datasets import load_from_disk

    export_tasks(read_tasks(with_tasks / "tasks.db"), tmp_path / "tasks")
    assert load_from_disk(str(tmp_path / "tasks"))["key"][:2] == ["seed", "k1"]


@pytest.mark.parametrize("name", ["t.parquet", "folder"])
def test_a_package_that_is_missing_is_named(with_tasks, tmp_path, monkeypatch, name):
    for package in ("pyarrow", "pyarrow.parquet", "datasets"):
        monkeypatch.setitem(sys.modules, package, None)
    records = read_tasks(with_tasks / "tasks.db")
    with pytest.raises(UserError, match=r"needs (pyarrow|datasets): .*pip install '\.\[data\]'"):
        export_tasks(records, tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["t.csv", "none/t.jsonl", "there", "there.jsonl"])
def test_places_that_will_not_do_are_refused_by_name(with_tasks, tmp_path, name):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    (tmp_path / "there.jsonl").mkdir()
    with pytest.raises(UserError, match=r"no tasks are written as|cannot write|is in use"):
        export_tasks(read_tasks(with_tasks / "tasks.db"), tmp_path / name)
    assert (tmp_path / "there" / "file").exists()


def told(capsys, *words):
    assert main(["tasks", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_the_list_has_the_newest_first(with_tasks, capsys):
    rows = [line.split() for line in told(capsys, with_tasks).splitlines() if " def " in line]
    assert [row[0] for row in rows] == ["5", "4", "3", "2", "1"]
    assert rows[2][:7] == ["3", "2", "50%", "b", "def", "f(x):", "return"]
    assert "1 shown of 2 that fit, of 5 tasks" in told(
        capsys, with_tasks, "--kind", "b", "--limit", "1"
    )


def test_one_task_is_shown_with_all_that_is_known(with_tasks, capsys):
    text = told(capsys, with_tasks, "--show", 3)
    assert 'parents: ["seed"]\n' in text
    assert "solve_rate: 0.5\n" in text
    assert "\nprogram:\n    def f(x):\n        return x\n" in text


def test_a_file_holds_the_chosen_tasks(with_tasks, tmp_path, capsys):
    target = tmp_path / "t.jsonl"
    text = told(capsys, with_tasks, "--learnable", "--output", target)
    assert text == f"1 of 5 tasks: {target}\n"
    assert json.loads(target.read_text())["key"] == "k2"


def test_a_hostile_task_does_not_command_the_terminal(run, write_tasks, capsys):
    write_tasks(run, [("[red]a", "k", "\x1b[2J[bold]x[/bold]\u202e" + "y" * 500, 1, None)])
    for words in ((), ("--show", 1)):
        text = told(capsys, run.path, *words)
        assert "\\x1b[2J[bold]x[/bold]\\u202e" in text
        assert not {"\x1b", "\u202e"} & set(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kind", "chess"], "the run has no tasks of type 'chess': it has a, b"),
        (["--show", "99"], "has no task 99: its ids go from 1 to 5"),
        (["--min-rate", "2"], "2 is no share from 0 to 1"),
        (["--min-rate", "half"], "invalid share value: 'half'"),
        (["--limit", "0"], "0 is less than 1"),
        (["--output", "x.csv"], "no tasks are written as .csv"),
    ],
)
def test_bad_input_is_refused_in_one_line(with_tasks, capsys, words, message):
    assert main(["tasks", str(with_tasks), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
