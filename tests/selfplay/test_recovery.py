"""An engine or a daemon that dies is started anew within the run; the step is played again."""

import json
import os
import signal
import sqlite3
from contextlib import closing

import pytest
import torch

from azr_fast.errors import UserError
from azr_fast.rollout.engine import EngineDied
from azr_fast.sandbox.client import SandboxLost
from azr_fast.selfplay.recovery import AFTER_DEATHS, play_whole

from .length_game import LengthGame
from .test_loop import in_step, lines, saved


def tasks(trainer):
    with closing(sqlite3.connect(trainer.run.tasks)) as db:
        return db.execute("SELECT * FROM manifests").fetchall()


def assert_equal(trainer, calm):
    """Both ended alike but for times."""
    for name, weight in trainer.policy.named_weights():
        assert torch.equal(weight, dict(calm.policy.named_weights())[name])
    assert tasks(trainer) == tasks(calm)
    for one, other in zip(lines(trainer), lines(calm), strict=True):
        assert one["groups"] == other["groups"]
        assert one["proposals"] == other["proposals"]
        assert one["update"]["loss"] == other["update"]["loss"]


def dying(times):
    """An engine that dies in mid play of step 3, so many times."""

    def prepare(trainer):
        deaths, poll = [], trainer.engine.poll

        def look():
            if trainer.done == 2 and len(deaths) < times and trainer.engine.in_batch():
                deaths.append(None)
                trainer.engine._model = None  # nothing it holds can be used
                raise EngineDied(trainer.engine.name, RuntimeError("out of order"))
            return poll()

        trainer.engine.poll = look

    return prepare


@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.slow), AFTER_DEATHS])
def test_an_engine_that_dies_is_started_anew_and_the_step_played_again(play, times):
    trainer, raised = play(prepare=dying(times))
    assert raised is None
    told = [note for note in trainer.observer.notes if "died" in note]
    assert len(told) == times
    assert told[0] == (
        "the transformers engine died (out of order): starting it anew, playing step 3 again "
        f"(1 of {AFTER_DEATHS})"
    )
    calm, _ = play(**{"run.name": "calm"})
    assert_equal(trainer, calm)


def test_an_engine_that_dies_each_time_leaves_the_last_whole_step(play):
    trainer, raised = play(prepare=dying(AFTER_DEATHS + 1))
    assert isinstance(raised, EngineDied)
    assert saved(trainer) == [2]
    assert [line["step"] for line in lines(trainer)] == [1, 2]
    again, raised = play(resume=True)
    assert raised is None
    calm, _ = play(**{"run.name": "calm"})
    assert_equal(again, calm)


def test_an_engine_that_dies_while_seeding_seeds_anew(play):
    keys = {"seeding.tasks": 3, "seeding.proposals": 8, "seeding.batch": 4}

    def prepare(trainer):
        deaths, poll = [], trainer.engine.poll

        def look():
            if not deaths and trainer.buffer.count("even") > 1:
                deaths.append(None)
                raise EngineDied(trainer.engine.name, RuntimeError("out of order"))
            return poll()

        trainer.engine.poll = look

    trainer, raised = play(prepare=prepare, **keys)
    assert raised is None
    calm, _ = play(**keys, **{"run.name": "calm"})
    assert_equal(trainer, calm)


class SandboxedGame(LengthGame):
    """Texts are counted in the sandbox."""

    async def propose(self, source, chat):
        verdict = await super().propose(source, chat)
        await self.programs.call("def f(x):\n    return x", "f", ["1"])
        return verdict

    async def solve(self, task, chat):
        verdict = await super().solve(task, chat)
        reply = await self.programs.call("def f(x):\n    return x + 1", "f", ["1"])
        assert reply.results[0].value == "2"
        return verdict


@pytest.fixture
def sandboxed():
    """Gives a trainer's game the programs of a real daemon; the client of that daemon."""
    from azr_fast.config.schema import SandboxConfig
    from azr_fast.sandbox.client import AsyncClient
    from azr_fast.sandbox.launcher import open_sandbox

    with open_sandbox(SandboxConfig(zygotes=2, rewind=False)) as client:

        def prepare(trainer):
            trainer.game.programs = AsyncClient(client.path, client.limits)
            trainer.sandbox = client

        yield prepare, client


def pid_of(client):
    return int(client.info()["server"]["process_id"])


def test_a_daemon_that_is_killed_in_mid_play_is_started_anew(play, sandboxed):
    prepare, client = sandboxed
    pids = []

    def kill_in_step_3(trainer):
        prepare(trainer)
        solve = trainer.game.solve

        async def look(task, chat):
            if trainer.done == 2 and not pids:
                pids.append(pid_of(client))
                os.kill(pids[0], signal.SIGKILL)
            return await solve(task, chat)

        trainer.game.solve = look

    trainer, raised = play(SandboxedGame, prepare=kill_in_step_3)
    assert raised is None
    (told,) = (note for note in trainer.observer.notes if "was lost" in note)
    assert "starting it anew, playing step 3 again" in told
    assert pid_of(client) != pids[0]
    calm, raised = play(SandboxedGame, prepare=prepare, **{"run.name": "calm"})
    assert raised is None
    assert_equal(trainer, calm)


@pytest.mark.slow
def test_a_daemon_that_dies_each_time_leaves_the_last_whole_step(play, sandboxed):
    prepare, client = sandboxed

    def kill_always(trainer):
        prepare(trainer)
        in_step(trainer, 3, lambda: os.kill(pid_of(client), signal.SIGKILL))

    trainer, raised = play(SandboxedGame, prepare=kill_always)
    assert isinstance(raised, SandboxLost)
    assert saved(trainer) == [2]
    assert [line["step"] for line in lines(trainer)] == [1, 2]


def test_what_cannot_be_mended_is_raised_at_once():
    attempts = []

    def play():
        attempts.append(None)
        raise SandboxLost("gone")

    def mend(failure):
        raise UserError("azr-sandboxd did not start")

    with pytest.raises(UserError, match="did not start"):
        play_whole("step 1", play, mend, lambda note: None)
    assert len(attempts) == 1


def test_other_faults_are_not_played_again():
    def play():
        raise json.JSONDecodeError("a fault of ours", "", 0)

    with pytest.raises(json.JSONDecodeError):
        play_whole("step 1", play, lambda failure: None, lambda note: None)
