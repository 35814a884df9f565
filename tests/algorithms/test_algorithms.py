"""Algorithms whose groups are tasks, and whose baselines move; groups that teach nothing."""

import json
import math
from collections import defaultdict
from statistics import fmean, pstdev
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_fast.algorithms import check_groups, open_algorithm
from azr_fast.config.roles import ScheduleConfig
from azr_fast.config.schema import AdvantageConfig, Config, PlayConfig
from azr_fast.errors import UserError
from azr_fast.types import Episode, Role, Source, Task


def solve(task, reward, kind="a", tokens=1):
    return Episode(
        (0,), Role.SOLVER, kind, task=Task(kind, task, {}), sampled=[True] * tokens, reward=reward,
        token_ids=[0] * tokens, logprobs=[0.0] * tokens,
    )  # fmt: skip


def proposal(source, reward, kind="a"):
    return Episode(
        (0,), Role.PROPOSER, kind, source=Source(kind, seed=source), sampled=[True],
        token_ids=[0], logprobs=[0.0], reward=reward,
    )  # fmt: skip


BATCHES = st.lists(
    st.builds(
        lambda solver, place, reward, kind: (
            solve(str(place), reward, kind) if solver else proposal(place, reward, kind)
        ),
        st.booleans(),
        st.integers(0, 3),
        st.floats(-5, 5),
        st.sampled_from("ab"),
    ),
    max_size=24,
)


@pytest.mark.parametrize(
    "estimator", get_args(AdvantageConfig.model_fields["estimator"].annotation)
)
def test_every_estimator_that_the_config_offers_takes_a_batch_of_anything(estimator):
    algorithm = open_algorithm(AdvantageConfig(estimator=estimator))
    assert algorithm.advantages([]) == []
    batch = [solve("x", 1.0), solve("x", 0.0), proposal(1, 2.0)]
    assert len(algorithm.advantages(batch)) == 3


def test_a_baseline_per_task_is_scaled_by_type_and_role():
    batch = [solve("x", 1.0), solve("x", 0.0), solve("y", 1.0), solve("y", 1.0), solve("z", 0.0)]
    got = open_algorithm(AdvantageConfig(baseline="task")).advantages(batch)
    centred = [0.5, -0.5, 0.0, 0.0, 0.0 - fmean([1, 0, 1, 1, 0])]
    scale = math.sqrt(fmean([value**2 for value in centred]))
    assert got == pytest.approx([value / scale for value in centred])


@given(BATCHES)
def test_a_baseline_per_task_by_its_definition(batch):
    got = open_algorithm(AdvantageConfig(baseline="task")).advantages(batch)
    for group in {one.group for one in batch}:
        mine = [i for i, one in enumerate(batch) if one.group == group]
        places = defaultdict(list)
        for i in mine:
            places[batch[i].task.key if batch[i].task else batch[i].source.seed].append(i)
        centred = {}
        for members in places.values():
            among = members if len(members) > 1 else mine
            for i in members:
                centred[i] = batch[i].reward - fmean(batch[j].reward for j in among)
        scale = math.sqrt(fmean([centred[i] ** 2 for i in mine]))
        for i in mine:
            expected = centred[i] / scale if scale > 1e-9 else 0.0
            assert got[i] == pytest.approx(expected, abs=1e-5) or scale <= 1e-9


def test_hierarchical_compares_solutions_of_a_task_and_proposals_of_a_source():
    batch = [
        solve("x", 1.0), solve("x", 0.0), solve("y", 0.0),
        proposal(1, 2.0), proposal(1, 0.0), proposal(1, 1.0), proposal(2, 9.0),
    ]  # fmt: skip
    got = open_algorithm(AdvantageConfig(estimator="hierarchical")).advantages(batch)
    spread = pstdev([2.0, 0.0, 1.0])
    assert got == pytest.approx([1.0, -1.0, 0.0, 1 / spread, -1 / spread, 0.0, 0.0])


def test_rae_is_the_reward_over_a_baseline_that_moves_within_and_between_steps():
    algorithm = open_algorithm(AdvantageConfig(estimator="rae"))
    first = algorithm.advantages([solve("x", 1.0), solve("y", 1.0), proposal(1, -1.0)])
    assert first == pytest.approx([1 - 0.05, 1 - 0.0975, -1 + 0.05])
    again = open_algorithm(AdvantageConfig(estimator="rae"))
    again.restore(json.loads(json.dumps(algorithm.state())))
    assert again.advantages([solve("z", 0.0)]) == algorithm.advantages([solve("z", 0.0)])
    assert again.state() == algorithm.state()


@pytest.mark.parametrize("estimator", ["grpo", "dr_grpo", "rloo", "hierarchical"])
def test_groups_in_which_nothing_can_be_learnt_are_refused(estimator):
    advantage = AdvantageConfig(estimator=estimator)
    check_groups(Config(advantage=advantage), siblings=4)
    with pytest.raises(UserError, match="proposers would learn nothing"):
        check_groups(Config(advantage=advantage), siblings=1)
    for play in (PlayConfig(price_samples=1), PlayConfig(train_on_priced_answers=False)):
        with pytest.raises(UserError, match="solvers would learn nothing"):
            check_groups(Config(advantage=advantage, play=play), siblings=4)


def test_groups_of_known_tasks_are_those_of_several_solutions():
    advantage = AdvantageConfig(estimator="grpo")
    play = PlayConfig(train_on_priced_answers=False, solve_samples=4)
    check_groups(Config(advantage=advantage, play=play), siblings=4)
    turns = ScheduleConfig(name="alternate")
    check_groups(Config(advantage=advantage, schedule=turns, play=play), siblings=4)
    with pytest.raises(UserError, match="each task of a pool has one"):
        check_groups(Config(advantage=advantage, schedule=turns), siblings=4)


def test_who_does_not_learn_needs_no_groups():
    advantage = AdvantageConfig(estimator="grpo")
    check_groups(Config(advantage=advantage, play=PlayConfig(learners=["solver"])), siblings=1)
    proposers = PlayConfig(learners=["proposer"], price_samples=1)
    check_groups(Config(advantage=advantage, play=proposers), siblings=4)
    without = ScheduleConfig(name="alternate", proposer_steps=0)
    several = PlayConfig(solve_samples=2)
    check_groups(Config(advantage=advantage, schedule=without, play=several), siblings=1)


@pytest.mark.parametrize("estimator", ["trr++", "global", "rae"])
def test_coarse_groups_need_no_siblings(estimator):
    config = Config(
        advantage=AdvantageConfig(estimator=estimator), play=PlayConfig(price_samples=1)
    )
    check_groups(config, siblings=1)


@pytest.mark.parametrize(
    "keys",
    [
        {"estimator": "rloo", "token_weighted": True},
        {"estimator": "rae", "token_weighted": True},
        {"baseline": "task", "token_weighted": True},
        {"baseline": "task", "estimator": "grpo"},
    ],
)
def test_keys_that_do_not_go_together_are_refused(keys):
    with pytest.raises(ValueError, match=r"token_weighted|baseline"):
        AdvantageConfig(**keys)
