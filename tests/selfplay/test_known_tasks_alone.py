"""`play.proposals = 0`: a step that solves what is known, the control of training on seeds alone."""

import asyncio
from contextlib import closing
from types import SimpleNamespace

from azr_fast.config.schema import Config, PlayConfig
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.play import Round
from azr_fast.types import Role, Status, Task, Verdict


class NoProposals:
    """A game of two types that proposes nothing where nothing is asked for."""

    kinds = ("a", "b")
    prices_known_tasks = False

    def sources(self, kind, count, tasks, rng):
        assert count == 0
        return []


async def played(episode, seed, speak):
    episode.verdict = Verdict(Status.PASSED, "ok")


def test_known_tasks_of_every_type_are_solved_and_nothing_is_posed():
    episodes = SimpleNamespace(open=lambda *opened: None, play=played)
    config = Config(play=PlayConfig(proposals=0, solves=3, price_samples=2))
    with closing(TaskBuffer(":memory:", 100)) as buffer:
        for number in range(10):
            for kind in "ab":
                buffer.add(Task(kind, f"{kind}{number}", {}), 0)
        families = asyncio.run(Round(NoProposals(), buffer, episodes, config, step=1).play())
    solves = [one for family in families for one in family.episodes]
    assert [one.kind for one in solves] == ["a"] * 3 + ["b"] * 3
    assert {one.role for one in solves} == {Role.SOLVER}
    assert all(one.passed for one in solves)
    assert len({one.id for one in solves}) == 6
