"""`azr-fast seed` and runs that begin with its file."""

import json
import signal
import sqlite3
from contextlib import closing

import pytest

from azr_fast.cli.main import main
from azr_fast.games.azr.programs import inspect
from azr_fast.games.azr.tasks import triplet
from azr_fast.selfplay.taskfile import read_tasks, write_tasks


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def seed_words(words):
    return lambda **keys: ["seed", *words(**{"run.name": "one", "run.steps": 1} | keys)[1:]]


def refusal(capfd, *words):
    assert main([*map(str, words)]) == 2
    shown = capfd.readouterr().err
    assert shown.count("\n") == 1
    return shown


def posed(n):
    program = inspect(f"def f(x):\n    return x + {n}", (), 100)
    return triplet("deduction", program, "1", str(n + 1))


def seeds_in(run):
    with closing(sqlite3.connect(run / "tasks.db")) as database:
        query = "SELECT key FROM tasks WHERE step = 0 AND kind = 'deduction' ORDER BY id"
        return [key for (key,) in database.execute(query)]


def test_seeds_are_written_and_the_run_that_made_them_can_be_trained(seed_words, train, here):
    shown = train(*seed_words(**{"seeding.tasks": 1}))
    file = here / "runs" / "one" / "seeds.jsonl"
    assert f"{file.relative_to(here)}: 1 deduction" in shown
    assert "--seeding.file" in shown
    (task,) = read_tasks(str(file))
    assert task.payload["program"] == "def f(x):\n    return x"
    train("train", "--resume", "runs/one")
    assert len((here / "runs/one/metrics.jsonl").read_text().splitlines()) == 1


def test_a_run_begins_with_the_tasks_of_a_file_that_hold(train, here):
    false = posed(9)
    wrong = type(false)(false.kind, false.key, {**false.payload, "output": "99"})
    write_tasks(here / "mine.jsonl", [posed(1), posed(2), wrong])
    keys = {"seeding.file": "mine.jsonl", "seeding.tasks": 3, "run.steps": 1, "run.name": "two"}
    shown = train(**keys)
    assert "2 of 3 tasks hold (wrong_output 1)" in shown
    keys = seeds_in(here / "runs" / "two")
    assert keys[1:] == [posed(1).key, posed(2).key]
    assert f'file = "{here / "mine.jsonl"}"' in (here / "runs/two/config.toml").read_text()


def test_the_seeds_of_a_run_are_written_without_a_model(train, here, capfd):
    write_tasks(here / "mine.jsonl", [posed(1)])
    train(**{"seeding.file": "mine.jsonl", "run.steps": 1, "run.name": "two"})
    with closing(sqlite3.connect(here / "runs/two/tasks.db")) as database:
        columns = "kind, key, payload, parents, step"
        database.execute(
            f"INSERT INTO tasks ({columns}) VALUES ('deduction', 'x', '{{}}', '[]', 1)"
        )
        database.commit()
    assert main(["seed", "--from", "runs/two", "--out", "again.jsonl"]) == 0
    again = read_tasks("again.jsonl")
    assert posed(1).key in [task.key for task in again]
    assert "x" not in [task.key for task in again]
    assert json.loads((here / "again.jsonl").read_text().splitlines()[0])["kind"]


def test_what_cannot_be_written_or_read_is_refused_before_anything_is_loaded(
    seed_words, words, here, capfd
):
    gone = {"model.name": here / "no-model"}
    (here / "there.jsonl").write_text("{}")
    assert "exists" in refusal(capfd, *seed_words(**gone), "--out", "there.jsonl")
    assert "no folder" in refusal(capfd, *seed_words(**gone), "--out", "nowhere/seeds.jsonl")
    assert "no run" in refusal(capfd, "seed", "--from", ".")
    assert "leave out" in refusal(capfd, "seed", "--from", ".", "--preset", "cpu")
    assert "leave out" in refusal(capfd, "seed", "--from", ".", "--run.seed", 3)
    told = refusal(capfd, *words(**gone, **{"seeding.file": "there.jsonl"}))
    assert f"{here / 'there.jsonl'}, line 1 is no task" in told
    assert "cannot read" in refusal(capfd, *words(**gone, **{"seeding.file": "gone.jsonl"}))
    assert not (here / "runs").exists()


def test_ctrl_c_writes_what_there_is(seed_words, start, here):
    keys = {"seeding.tasks": 9999, "seeding.batch": 2}
    process = start(*seed_words(**keys))
    for line in process.stdout:
        if line.startswith("seeds:"):
            break
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "1 deduction" in shown
    assert len(read_tasks(str(here / "runs/one/seeds.jsonl"))) == 1
