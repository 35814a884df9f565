"""Whole runs of Agent0 on a tiny model with its real update: what is said is scripted."""

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.observe.page import page_data
from azr_fast.observe.run import read_run
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
    "sandbox.imports": (),
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

    def close(self):
        pass

    def note(self, text):
        self.notes.append(text)


@dataclass
class Played:
    """What a run left: the lines of its metrics, what was told, its folder."""

    lines: list
    notes: list
    path: Path

    def phases(self):
        return [line["phase"]["name"] for line in self.lines]


@pytest.fixture(scope="module")
def train(tmp_path_factory, tiny_chat_model):
    """Trains a run by its preset, or goes on with one; scripted, unless `script` is None."""
    folder = tmp_path_factory.mktemp("runs")

    def play(name, preset="agent0-cpu", script=script, **keys):
        def engine(rollout, files, renderer, model, seed):
            return ScriptedEngine(rollout, files, renderer, model, script)

        dotted = {key.replace("__", "."): value for key, value in keys.items()}
        named = {"run.dir": str(folder), "run.name": name, "model.name": str(tiny_chat_model)}
        told, there = Told(), (folder / name).exists()
        if there:
            run = RunFolder.resume(folder / name, dotted)
        else:
            run = RunFolder.create(load_config(preset, KEYS | named | dotted))
        with ExitStack() as stack:
            stack.enter_context(closing(run))
            if script:
                patch = stack.enter_context(pytest.MonkeyPatch.context())
                patch.setattr("azr_fast.session.open_engine", engine)
            stack.enter_context(open_trainer(run.config, run, told, lambda: False)).train()
        lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
        return Played(lines, told.notes, run.path)

    return play


@pytest.fixture(scope="module")
def whole(train):
    """Two steps of proposers and of solvers, with a pool between them."""
    return train("whole")


def test_two_steps_of_each_phase(whole):
    lines = whole.lines
    assert whole.phases() == ["proposer", "proposer", "pool", "solver", "solver"]
    moved = [{roles: one["moved"] for roles, one in line["updates"].items()} for line in lines]
    assert moved == [*[{"proposer": True}] * 2, {}, *[{"solver": True}] * 2]
    asked, pool, solved = (lines[i]["verification"] for i in (0, 2, 3))
    assert (asked["questions"], sum(asked["agreement"]), asked["calls"]) == (6, 6, 0.25)
    assert asked["vote_accuracy"] == asked["setter_agrees"] == 1.0
    assert pool["duplicates"] == 1.0  # the script has no others
    assert solved["label_accuracy"] == 1.0
    assert lines[3]["groups"]["question/solver"]["answers"] == 12
    assert any("iteration 1, solver" in note and "pool of" in note for note in whole.notes)
    assert (whole.path / "checkpoints" / "step-5" / "proposer" / "model").is_dir()


def test_the_report_shows_votes_labels_and_calls(whole):
    charts = page_data(read_run(whole.path))["charts"]
    section = {chart["title"] for chart in charts if chart["section"] == "Votes and tools"}
    assert section == {
        "Agreement on a question (p)", "Is the majority right?", "Questions that are not new",
        "Calls of the tool", "What becomes of conversations", "Calls per second",
    }  # fmt: skip


def test_departure_8_executors_learn_from_what_curriculum_agents_posed(whole):
    """The released training script reads another data set."""
    with closing(sqlite3.connect(whole.path / "tasks.db")) as db:
        pooled = {row[0] for row in db.execute("SELECT task FROM pools WHERE pool = 1")}
        learnt = {row[0] for row in db.execute("SELECT task FROM solves WHERE step IN (4, 5)")}
        labels = db.execute("SELECT DISTINCT label FROM pools").fetchall()
    assert learnt
    assert learnt <= pooled
    assert labels == [("vote",)]


@pytest.mark.parametrize("step", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_a_run_that_was_stopped_in_a_phase_goes_on_in_it(train, whole, step):
    name = f"stopped in step {step}"
    train(name, run__steps=step)
    again = train(name, run__steps=5)
    for one, other in zip(whole.lines, again.lines, strict=True):
        assert one["groups"] == other["groups"]
        for roles, update in one["updates"].items():
            for key in ("logprob_gap", "grad_norm", "entropy", "clipped", "loss"):
                assert update[key] == other["updates"][roles][key]


def test_departure_9_a_run_shrinks_and_leaves_others_alone(train, tmp_path, monkeypatch):
    """The released code kills every Python, burns idle GPUs, wants eight of them and writes into
    the working directory. The random proposer's questions serve: one executor learns alone."""
    monkeypatch.chdir(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        played = train(
            "random", "agent0-random-proposer", lambda prompt, place: rf"\boxed{{{place[1] % 2}}}",
            schedule__proposer_steps=0, schedule__pool_proposals=4, play__solves=1,
        )  # fmt: skip
        assert other.poll() is None
        other.communicate(b"\n")
    assert list(tmp_path.iterdir()) == []
    assert played.phases() == ["pool", "solver", "solver"]
    assert played.lines[0]["verification"]["vote_checked"] == 4
    assert played.lines[1]["groups"]["question/solver"]["answers"] == 4
    (update,) = played.lines[1]["updates"].values()
    assert update["moved"]


@pytest.mark.slow
def test_r_zero_runs_without_a_tool(train):
    played = train("r-zero", "agent0-r-zero")
    assert played.phases() == ["proposer", "proposer", "pool", "solver", "solver"]
    assert all(one["moved"] for line in played.lines for one in line["updates"].values())
    assert {line["verification"]["calls"] for line in played.lines} == {0}


def test_both_agents_may_be_adapters_of_one_model(train):
    played = train("lora", "agent0-lora")
    assert played.phases() == ["proposer", "proposer", "pool", "solver", "solver"]
    moved = [
        {roles: one["moved"] for roles, one in line["updates"].items()} for line in played.lines
    ]
    assert moved == [*[{"proposer": True}] * 2, {}, *[{"solver": True}] * 2]
    assert (played.path / "checkpoints" / "step-5" / "proposer" / "adapter").is_dir()


HOSTILE = [
    "```python\nwhile True: pass\n```\n",  # a program that never ends
    "```python\nwhile True: print('a' * 1000)\n```\n",  # a gigabyte of output
    r"\boxed{" + "9" * 140 + "}",
    r"\boxed{9^{9^{9^{9}}}}",  # nobody ever compares it
]


def test_the_run_goes_on_whatever_executors_say(train):
    def hostile(prompt, place):
        return script(prompt, place) if prompt.endswith("<question>") else HOSTILE[place[1] % 4]

    played = train(
        "hostile", script=hostile, sandbox__timeout_ms=200, schedule__proposer_steps=1,
        play__proposals=4, schedule__pool_proposals=4, play__solves=1, game__tool_calls=1,
    )  # fmt: skip
    assert played.phases() == ["proposer", "pool", "solver", "solver"]
    assert played.lines[2]["verification"]["call_errors"] == 1.0
    assert played.lines[2]["groups"]["question/solver"]["failed"] == 0.0
    assert played.lines[2]["updates"]["solver"]["moved"]


def test_where_nobody_answers_the_run_says_so_and_goes_on(train):
    def silent(prompt, place):
        return script(prompt, place) if prompt.endswith("<question>") else "I do not know."

    played = train("silent", script=silent, schedule__proposer_steps=1, schedule__band_low=0.0)
    assert played.phases() == ["proposer", "pool", "solver", "solver"]
    assert played.lines[0]["verification"]["nobody_answered"] == 6
    assert played.lines[1]["phase"]["pool"] == {"question": 0}
    assert any("no task of the pool lies in the band" in note for note in played.notes)


def test_noise_of_a_model_that_knows_nothing_is_played_by_the_real_engine(train):
    """No script: every proposal is malformed, the pool stays empty, and the run ends well."""
    played = train(
        "noise", script=None, play__proposals=4, schedule__pool_proposals=4,
        rollout__max_new_tokens=12,
    )  # fmt: skip
    assert len(played.lines) == 5
    assert played.lines[0]["verification"]["questions"] == 0
    assert any("no task of the pool" in note for note in played.notes)


def test_a_joint_schedule_is_refused_by_name(train):
    with pytest.raises(UserError, match=r"schedule\.name = alternate"):
        train("joint", schedule__name="joint")
