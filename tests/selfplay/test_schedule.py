"""Who learns in a step, what is sampled for it, and which tasks a pool takes."""

import asyncio
import json
import random
from contextlib import closing

import pytest

from azr_fast.config.roles import ScheduleConfig
from azr_fast.config.schema import Config, PlayConfig, RunConfig
from azr_fast.errors import UserError
from azr_fast.games.game import Game
from azr_fast.rollout.decoder import Decoder
from azr_fast.rollout.episodes import Episodes
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.play import Round
from azr_fast.selfplay.schedule import open_schedule, pooled
from azr_fast.types import Episode, Family, Role, Sampling, Status, Task, Verdict

from .word_game import RENDERER, ScriptedEngine, WordGame

BOTH = frozenset(Role)


def config_of(steps=1000, play=None, **schedule):
    return Config(
        run=RunConfig(steps=steps),
        play=PlayConfig(**play or {}),
        schedule=ScheduleConfig(**{"name": "alternate"} | schedule),
    )


def test_jointly_all_roles_learn_in_every_step():
    schedule = open_schedule(Config(run=RunConfig(steps=7)))
    assert schedule.steps == 7
    assert {schedule.phase(step).learners for step in range(1, 8)} == {BOTH}
    assert schedule.phase(3).play == PlayConfig()


def test_iterations_are_proposer_pool_and_solver_steps():
    config = config_of(iterations=2, proposer_steps=2, pool_steps=1, solver_steps=3)
    schedule = open_schedule(config)
    assert schedule.steps == 12
    phases = [schedule.phase(step) for step in range(1, 13)]
    assert [(phase.name, phase.place, phase.iteration) for phase in phases] == [
        (name, place, iteration)
        for iteration in (1, 2)
        for name, steps in (("proposer", 2), ("pool", 1), ("solver", 3))
        for place in range(steps)
    ]
    assert [phase.learners for phase in phases[:6]] == [
        *[{Role.PROPOSER}] * 2, set(), *[{Role.SOLVER}] * 3
    ]  # fmt: skip


def test_what_is_sampled_follows_from_the_phase():
    config = config_of(play={"proposals": 5, "solves": 7}, pool_proposals=11)
    proposer, pool, solver = open_schedule(config).phases
    assert (proposer.play.proposals, proposer.play.solves) == (5, 0)
    assert (pool.play.proposals, pool.play.solves) == (11, 0)
    assert (solver.play.proposals, solver.play.solves) == (0, 7)


def test_a_run_ends_with_its_steps_or_with_its_iterations():
    assert open_schedule(config_of(steps=5)).steps == 5
    assert open_schedule(config_of(iterations=1)).steps == 5 + 1 + 15


def test_a_role_that_does_not_learn_has_no_steps():
    only = open_schedule(config_of(play={"learners": ["proposer"]}))
    assert [phase.name for phase in only.phases] == ["proposer"]
    only = open_schedule(config_of(play={"learners": ["solver"]}))
    assert [phase.name for phase in only.phases] == ["pool", "solver"]
    joint = open_schedule(Config(play=PlayConfig(learners=["solver"])))
    assert joint.phase(1).learners == {Role.SOLVER}


def test_no_steps_are_spent_on_proposals_of_which_there_are_none():
    schedule = open_schedule(config_of(play={"proposals": 0}))
    assert [phase.name for phase in schedule.phases] == ["pool", "solver"]
    joint = open_schedule(Config(play=PlayConfig(proposals=0)))
    assert joint.phase(1).learners == {Role.SOLVER}


@pytest.mark.parametrize(
    "config",
    [
        config_of(play={"learners": ["proposer"]}, proposer_steps=0),
        config_of(play={"learners": ["solver"]}, solver_steps=0),
        config_of(play={"learners": ["proposer"], "proposals": 0}),
        Config(play=PlayConfig(learners=["proposer"], proposals=0)),
    ],
)
def test_a_schedule_in_which_nobody_learns_is_refused(config):
    with pytest.raises(UserError, match="nobody would learn"):
        open_schedule(config)


def episode(place, role, status=Status.PASSED, task=None, tokens=1):
    posed = task if role is Role.PROPOSER and status is Status.PASSED else None
    return Episode(
        place, role, "a", task=task, verdict=Verdict(status, "", task=posed),
        token_ids=[0] * tokens, sampled=[True] * tokens, logprobs=[0.0] * tokens,
    )  # fmt: skip


TASK = Task("a", "x", {})


def family(*solves, proposal=Status.PASSED):
    """A proposal that is priced by solutions of these statuses."""
    posed = episode((0,), Role.PROPOSER, proposal, TASK)
    return Family(posed, [episode((0, j), Role.SOLVER, one, TASK) for j, one in enumerate(solves)])


def test_those_who_learn_learn_from_their_own_episodes_that_did_not_fail():
    known = Family(None, [episode((1,), Role.SOLVER), episode((2,), Role.SOLVER, tokens=0)])
    families = [family(Status.WRONG, Status.FAILED), known]

    def learnt(phase):
        return [one.id for one in phase.select(families)]

    joint = open_schedule(Config()).phase(1)
    assert learnt(joint) == [(0,), (0, 0), (1,)]
    unpriced = open_schedule(Config(play=PlayConfig(train_on_priced_answers=False))).phase(1)
    assert learnt(unpriced) == [(0,), (1,)]
    proposer, pool, solver = open_schedule(config_of()).phases
    assert learnt(proposer) == [(0,)]
    assert learnt(pool) == []
    assert learnt(solver) == [(0, 0), (1,)]


class Plain(WordGame):
    rate, label = Game.rate, Game.label


class Voting(WordGame):
    """Its label is what the majority says; its rate is not that of right solutions."""

    def rate(self, family):
        return 0.5

    def label(self, family):
        return Task("a", "x", {"label": 7}, label="vote")


RIGHT, WRONG = Status.PASSED, Status.WRONG


@pytest.mark.parametrize(
    ("solves", "rate"),
    [
        ((RIGHT, WRONG), 0.5),
        ((RIGHT, WRONG, WRONG, WRONG), 0.25),
        ((RIGHT, RIGHT, RIGHT, WRONG), 0.75),
        ((RIGHT, WRONG, Status.FAILED), 0.5),
        ((RIGHT, RIGHT), None),
        ((WRONG, WRONG), None),
        ((Status.FAILED,), None),
        ((), None),
    ],
)
def test_a_pool_takes_tasks_in_the_band_with_both_ends(solves, rate):
    chosen = pooled(family(*solves), Plain(), ScheduleConfig())
    assert (chosen and chosen.rate) == rate


def test_a_proposal_that_posed_nothing_enters_no_pool():
    assert pooled(family(proposal=Status.REJECTED), Plain(), ScheduleConfig(band_low=0)) is None


def test_where_solutions_vote_the_game_says_the_rate_and_the_label():
    chosen = pooled(family(WRONG), Voting(), ScheduleConfig())
    assert (chosen.payload, chosen.label, chosen.rate) == ({"label": 7}, "vote", 0.5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tasks.db"


def pool_of(path, count=5):
    """A file whose first pool has tasks of rate 1/3 with labels."""
    buffer = TaskBuffer(path, 100)
    for i in range(count):
        buffer.add(Task("a", str(i), {}), 1)
        chosen = Task("a", str(i), {"label": (i,)}, label="vote", rate=1 / 3)
        assert buffer.choose(chosen, 1)
        assert not buffer.choose(chosen, 1)
    return buffer


def test_a_pool_outlives_the_process_and_is_that_of_its_iteration(path):
    with closing(pool_of(path)) as buffer:
        before = buffer.pool("a", 1)
        buffer.watermark()
    with closing(TaskBuffer(path, 100)) as again:
        assert again.pool("a", 1) == before
        assert before[3] == Task("a", "3", {"label": [3]}, label="vote", rate=1 / 3)
        assert again.pool("a", 2) == again.pool("b", 1) == []
        assert again.draw(["a"], 1, random.Random(0))[0].payload == {}  # not of the pool


def test_a_pool_is_put_back_with_its_step(path):
    with closing(pool_of(path)) as buffer:
        mark = json.loads(json.dumps(buffer.watermark()))
        before = buffer.pool("a", 1)
        buffer.add(Task("a", "later", {}), 2)
        buffer.choose(Task("a", "later", {}, rate=0.5), 1)
        buffer.choose(Task("a", "0", {}, rate=0.5), 2)
        buffer.rewind(mark)
        assert (buffer.pool("a", 1), buffer.pool("a", 2)) == (before, [])


@pytest.mark.parametrize("samples", [1, 3])
def test_solver_steps_take_the_tasks_of_their_pool_in_turn(path, samples):
    """Each as often as any other, whatever the run has done before."""
    play = PlayConfig(solves=2, solve_samples=samples).model_copy(update={"proposals": 0})
    solved = []
    with asyncio.Runner() as runner, closing(pool_of(path)) as buffer:
        for place in range(5):
            episodes = Episodes(
                Decoder(ScriptedEngine({}, place), runner), RENDERER, Sampling(9), 99
            )
            step = 7 + place
            turn = Round(WordGame(), buffer, episodes, Config(play=play), step, pool=1, place=place)
            families = episodes.decoder.run(turn.solve([]))
            assert [len(family.solves) for family in families] == [samples, samples]
            solved += [family.task for family in families]
        assert all(solved.count(task) == 2 for task in buffer.pool("a", 1))
        assert [task.key for task in solved[:5]] != list("01234")  # shuffled


def test_a_small_pool_is_solved_whole_in_each_step(path):
    play = PlayConfig(solves=9).model_copy(update={"proposals": 0})
    with asyncio.Runner() as runner, closing(pool_of(path, 3)) as buffer:
        episodes = Episodes(Decoder(ScriptedEngine({}, 0), runner), RENDERER, Sampling(9), 99)
        turn = Round(WordGame(), buffer, episodes, Config(play=play), 1, pool=1, place=4)
        families = episodes.decoder.run(turn.solve([]))
    assert sorted(family.task.key for family in families) == ["0", "1", "2"]
