"""Whole runs of Agent0 on a tiny model with its real update: what is said is scripted."""

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.observe.runfolder import RunFolder
from azr_fast.session import open_trainer

from .scripted import ScriptedEngine

KEYS = {
    "run.checkpoint_every": 1,
    "run.keep_checkpoints": 9,
    "model.dtype": "float32",
    "schedule.iterations": 1,
    "schedule.proposer_steps": 2,
    "schedule.pool_proposals": 8,
    "schedule.solver_steps": 2,
    "play.proposals": 8,
    "play.price_samples": 4,
    "play.solves": 3,
    "play.solve_samples": 4,
    "rollout.engine": "transformers",
    "update.lr": 1e-3,
    "update.warmup_steps": 0,
}
SUM = re.compile(r"What is (\d+) plus (\d+)\?")


def script(prompt, place):
    """Curriculum agents pose sums, every fourth time nothing. Of the four executors of a question
    one runs a program and is right; of the others as many as the first number says."""
    asked = SUM.findall(prompt)
    if prompt.endswith("<question>"):
        if place[0] % 4 == 3:
            return "no idea"
        a, b = place[0] % 5, place[0] + 10
        program = f"```python\ndef answer():\n    return {a} + {b}\n```"
        return f"What is {a} plus {b}?</question>\n\\boxed{{{a + b}}}\n{program}"
    a, b = map(int, asked[-1])
    if place[1] == 0 and place[-1] == -1:
        return f"I add.\n```python\nprint({a} + {b})\n```\n"
    right = place[1] <= a % 4
    return rf"It is \boxed{{{a + b if right else -place[1]}}}."


class Told:
    """An observer that keeps what it is told."""

    def __init__(self):
        self.notes = []

    def start(self, *_):
        pass

    phase = advance = step = start

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def train(tmp_path, tiny_chat_model, monkeypatch):
    """Trains a run by its preset; returns the lines of its metrics, its notes and its folder."""

    def play(preset="agent0-cpu", scripted=script, **keys):
        if scripted:
            monkeypatch.setattr(
                "azr_fast.session.open_engine",
                lambda rollout, files, renderer, model, seed: ScriptedEngine(
                    rollout, files, renderer, model, scripted
                ),
            )
        dotted = {name.replace("__", "."): value for name, value in keys.items()}
        named = {"run.dir": str(tmp_path), "run.name": preset, "model.name": str(tiny_chat_model)}
        path, told = tmp_path / preset, Told()
        if path.exists():
            run = RunFolder.resume(path, dotted)
        else:
            run = RunFolder.create(load_config(preset, named | KEYS | dotted))
        with closing(run), open_trainer(run.config, run, told, lambda: False) as trainer:
            trainer.train()
        return [json.loads(line) for line in run.metrics.read_text().splitlines()], told.notes, path

    return play


def test_two_steps_of_each_phase(train):
    lines, notes, path = train()
    assert [line["phase"]["name"] for line in lines] == [
        *["proposer"] * 2, "pool", *["solver"] * 2
    ]  # fmt: skip
    moved = [{roles: one["moved"] for roles, one in line["updates"].items()} for line in lines]
    assert moved == [*[{"proposer": True}] * 2, {}, *[{"solver": True}] * 2]
    asked, pool, solved = (lines[i]["verification"] for i in (0, 2, 3))
    assert (asked["questions"], sum(asked["agreement"]), asked["calls"]) == (6, 6, 0.25)
    assert asked["vote_accuracy"] == asked["setter_agrees"] == 1.0
    assert pool["duplicates"] == 1.0  # the script has no others
    assert solved["label_accuracy"] == 1.0
    assert lines[3]["groups"]["question/solver"]["answers"] == 12
    assert any("iteration 1, solver" in note and "pool of" in note for note in notes)
    assert (path / "checkpoints" / "step-5" / "proposer" / "model").is_dir()


def test_a_run_that_was_stopped_in_a_phase_goes_on_in_it(train):
    whole, _, _ = train()
    train(preset="agent0-no-tool-reward", reward__tool=0.2, run__steps=3)
    lines, _, _ = train(preset="agent0-no-tool-reward", run__steps=5)
    for one, other in zip(whole, lines, strict=True):
        assert one["groups"] == other["groups"]
        assert one["update"] == other["update"] or {
            key: value for key, value in one["update"].items() if key != "seconds"
        } == {key: value for key, value in other["update"].items() if key != "seconds"}


def test_departure_8_executors_learn_from_what_curriculum_agents_posed(train):
    """The released training script reads another data set."""
    _, _, path = train()
    with closing(sqlite3.connect(path / "tasks.db")) as db:
        pooled = {row[0] for row in db.execute("SELECT task FROM pools WHERE pool = 1")}
        learnt = {row[0] for row in db.execute("SELECT task FROM solves WHERE step IN (4, 5)")}
        labels = db.execute("SELECT DISTINCT label FROM pools").fetchall()
    assert learnt
    assert learnt <= pooled
    assert labels == [("vote",)]


def test_departure_9_a_run_shrinks_and_leaves_others_alone(train, tmp_path, monkeypatch):
    """The released code kills every Python, burns idle GPUs, wants eight of them and writes into
    the working directory."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        lines, _, _ = train(play__proposals=2, play__solves=1, schedule__pool_proposals=4)
        assert other.poll() is None
        other.communicate(b"\n")
    assert lines[0]["groups"]["question/proposer"]["answers"] == 2
    assert list(elsewhere.iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"agent0-cpu", "elsewhere"}


@pytest.mark.parametrize(
    ("preset", "phases"),
    [
        ("agent0-no-tool", ["proposer", "proposer", "pool", "solver", "solver"]),
        ("agent0-no-curriculum", ["pool", "solver", "solver"]),
        ("agent0-r-zero", ["proposer", "proposer", "pool", "solver", "solver"]),
    ],
)
def test_the_controls_run(train, preset, phases):
    keys = {"schedule__proposer_steps": 0} if preset == "agent0-no-curriculum" else {}
    lines, _, _ = train(preset, **keys)
    assert [line["phase"]["name"] for line in lines] == phases
    assert all(one["moved"] for line in lines for one in line["updates"].values())
    without = {"agent0-no-tool", "agent0-r-zero"}
    calls = lines[-1]["verification"]["calls"]
    assert calls == 0 if preset in without else calls > 0


def test_random_questions_are_solved_by_an_executor_that_learns_alone(train):
    def answers(prompt, place):
        return rf"\boxed{{{place[1] % 2}}}"

    lines, _, _ = train(
        "agent0-random-proposer", answers, schedule__proposer_steps=0, schedule__pool_proposals=4
    )
    assert [line["phase"]["name"] for line in lines] == ["pool", "solver", "solver"]
    assert lines[0]["verification"]["vote_checked"] == 4
    assert lines[1]["updates"][
        "solver+proposer" if "solver+proposer" in lines[1]["updates"] else "proposer+solver"
    ]["moved"]


@pytest.mark.parametrize(
    "say",
    [
        r"I do not know.",  # nobody answers: no majority at all
        r"\boxed{7}",  # all agree: nothing in the band
        "```python\nwhile True: pass\n```\n",  # programs that never end
        "```python\nwhile True: print('a' * 1000)\n```\n",  # a gigabyte of output
        r"\boxed{" + "9" * 3000 + "}",
    ],
    ids=["no_majority", "no_band", "endless", "gigabyte", "long_answer"],
)
def test_the_run_goes_on_whatever_executors_say(train, say):
    def hostile(prompt, place):
        return script(prompt, place) if prompt.endswith("<question>") else say

    lines, notes, _ = train(
        scripted=hostile, sandbox__timeout_ms=200, schedule__proposer_steps=1, play__proposals=4,
        schedule__pool_proposals=4, play__price_samples=2, game__tool_calls=1,
    )  # fmt: skip
    assert [line["phase"]["name"] for line in lines] == ["proposer", "pool", "solver", "solver"]
    assert lines[1]["phase"]["pool"] == {"question": 0}
    assert any("no task of the pool lies in the band" in note for note in notes)


def test_noise_of_a_model_that_knows_nothing_is_played_by_the_real_engine(train):
    """No script: every proposal is malformed, the pool stays empty, and the run ends well."""
    lines, notes, _ = train(
        scripted=None, play__proposals=4, schedule__pool_proposals=4, rollout__max_new_tokens=16
    )
    assert len(lines) == 5
    assert lines[0]["verification"]["questions"] == 0
    assert any("no task of the pool" in note for note in notes)


def test_a_joint_schedule_is_refused_by_name(train):
    with pytest.raises(UserError, match=r"schedule\.name = alternate"):
        train(schedule__name="joint")
