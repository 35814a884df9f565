"""`seeding.file`: buffers that begin with tasks of a file."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

from azr_fast.config.schema import Config, SeedingConfig
from azr_fast.errors import UserError
from azr_fast.games.game import Game
from azr_fast.rollout.decoder import Decoder
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.seeding import seed_buffers
from azr_fast.selfplay.taskfile import write_tasks
from azr_fast.types import Source, Status, Task, Verdict


class EvenGame(Game):
    """Tasks of even length hold; asking the model for more is an error."""

    kinds = ("a", "b")

    def first_tasks(self):
        return [Task("a", "first", {})]

    async def verify(self, task):
        await asyncio.sleep(0.001 * len(task.key))
        if len(task.key) % 2:
            return Verdict(Status.REJECTED, "odd")
        return Verdict(Status.PASSED, "ok", task=Task(task.kind, task.key, {"checked": True}))

    def sources(self, kind, count, tasks, rng):
        return [Source(kind)] * count

    async def propose(self, source, chat):
        raise AssertionError("the file has enough")

    async def solve(self, task, chat):
        raise AssertionError

    def score(self, families):
        raise AssertionError


class Trusting(EvenGame):
    """A game without a check of its own."""

    async def verify(self, task):
        return await Game.verify(self, task)


@pytest.fixture
def seed(tmp_path):
    """The tasks of the buffers after seeding from a file of these tasks, and the batches asked."""

    def run(tasks, wanted=2, game=EvenGame):
        file, batches = tmp_path / "seeds.jsonl", []
        write_tasks(file, tasks)
        config = Config(seeding=SeedingConfig(file=str(file), tasks=wanted, proposals=4, batch=2))
        buffer = TaskBuffer(":memory:", 100)
        engine = SimpleNamespace(cancel=lambda: None, in_batch=lambda: False)
        with asyncio.Runner() as runner:
            episodes = SimpleNamespace(decoder=Decoder(engine, runner))
            seed_buffers(game(), buffer, episodes, config, batches.append)
        found = buffer.posed(["a", "b"])
        buffer.close()
        return found, batches

    return run


def tasks(*names):
    return [Task(name[0], name, {"told": name}) for name in names]


def test_what_holds_begins_the_run_in_the_files_order_as_seeds(seed):
    found, batches = seed(tasks("a111", "a1", "b1", "b111"))
    assert [posed.task.key for posed in found] == ["first", "a111", "a1", "b1", "b111"]
    assert {posed.step for posed in found} == {0}
    assert all(posed.task.payload == {"checked": True} for posed in found[1:])
    assert batches == []


def test_what_does_not_hold_or_is_not_played_is_left_out_and_told(seed, caplog):
    caplog.set_level(logging.INFO)
    found, _ = seed(tasks("a1", "a22", "b1", "b333", "b22", "c1"))
    assert [posed.task.key for posed in found] == ["first", "a1", "b1", "b333"]
    assert "3 of 6 tasks hold (odd 2, not_played 1)" in caplog.text


@pytest.mark.parametrize("names", [["a22", "b22"], ["c1", "d1"]])
def test_a_file_of_which_nothing_holds_is_refused_by_name(seed, names):
    with pytest.raises(UserError, match=r"seeds\.jsonl: none of its 2 tasks holds"):
        seed(tasks(*names))


def test_a_game_without_a_check_takes_no_tasks_of_files(seed):
    with pytest.raises(UserError, match="not_verifiable 2"):
        seed(tasks("a1", "b1"), game=Trusting)
