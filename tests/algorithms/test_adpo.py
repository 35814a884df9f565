"""ADPO (arXiv 2511.16043, section 3.3) from numbers that were computed by hand."""

import pytest
import torch

from azr_fast.algorithms import check_groups, open_algorithm
from azr_fast.algorithms.adpo import trust, upper_clip
from azr_fast.config.schema import AdvantageConfig, Config, PlayConfig, UpdateConfig
from azr_fast.errors import UserError
from azr_fast.ops.objective import Objective
from azr_fast.types import Episode, Role, Source, Task

ADPO = AdvantageConfig(estimator="adpo")
ACTIVE = UpdateConfig(correction="clip", minibatches=2)


def solve(task, reward, rate):
    return Episode(
        (0,), Role.SOLVER, "q", task=Task("q", task, {}, rate=rate), sampled=[True], token_ids=[0],
        logprobs=[0.0], reward=reward,
    )  # fmt: skip


def proposal(source, reward):
    return Episode(
        (0,), Role.PROPOSER, "q", source=Source("q", seed=source), sampled=[True], token_ids=[0],
        logprobs=[0.0], reward=reward,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "factor", "clip"),
    [
        (0.3, 0.6, 0.3), (0.8, 1.0, 0.2), (0.55, 0.8, 0.25), (0.4, 0.68, 0.28),
        (0.0, 0.6, 0.3), (1.0, 1.0, 0.2), (None, 1.0, None),
    ],
)  # fmt: skip
def test_trust_rises_and_the_clip_narrows_with_agreement(rate, factor, clip):
    assert trust(rate) == pytest.approx(factor)
    if rate is not None:
        assert upper_clip(rate, 0.2) == pytest.approx(clip)


def test_advantages_are_those_of_grpo_scaled_by_trust():
    """Rewards 1, 0, 0, 0: mean 1/4, deviation sqrt(3)/4, so sqrt(3) and three times -1/sqrt(3)."""
    batch = [solve("a", 1.0, 0.3), *[solve("a", 0.0, 0.3)] * 3, solve("b", 1.0, 0.8)]
    batch += [solve("b", 0.0, 0.8), proposal(1, 0.9), proposal(1, 0.1), proposal(2, 7.0)]
    root = 3**0.5
    expected = [0.6 * root, *[-0.6 / root] * 3, 1.0, -1.0, 1.0, -1.0, 0.0]
    algorithm = open_algorithm(ADPO)
    assert algorithm.advantages(batch) == pytest.approx(expected)
    clips = algorithm.upper_clips(batch, 0.2)
    assert clips[:6] == pytest.approx([0.3] * 4 + [0.2] * 2)
    assert clips[6:] == [None, None, None]


def test_the_clip_is_active():
    """A token 25% more likely than when it was sampled is still taught where 3 in 10 agreed, and no
    more where 8 in 10 did."""
    clips = open_algorithm(ADPO).upper_clips([solve("a", 1, 0.3), solve("b", 1, 0.8)], 0.2)
    objective = Objective(
        torch.ones(2),
        torch.ones(2),
        behaviour_logp_N=torch.log(torch.tensor([0.4, 0.4])),
        correction="clip",
        high=torch.tensor(clips),
    ).checked(torch.tensor([0, 0]))
    terms = objective.terms(torch.log(torch.tensor([0.5, 0.5])), torch.zeros(2))
    assert terms.clipped.tolist() == [False, True]
    assert terms.coefficient.tolist() == pytest.approx([1.25, 0.0])


@pytest.mark.parametrize(
    "update",
    [{}, {"correction": "clip"}, {"correction": "truncate", "minibatches": 2}],
)
def test_a_clip_that_can_never_act_is_refused(update):
    config = Config(advantage=ADPO, update=ACTIVE, play=PlayConfig(solve_samples=4))
    check_groups(config, siblings=4)
    with pytest.raises(UserError, match=r"update\.correction"):
        check_groups(config.model_copy(update={"update": UpdateConfig(**update)}), siblings=4)


def test_single_proposals_and_solutions_are_refused():
    config = Config(advantage=ADPO, update=ACTIVE, play=PlayConfig(solve_samples=4))
    with pytest.raises(UserError, match="share a"):
        check_groups(config, siblings=1)
    alternating = config.schedule.model_copy(update={"name": "alternate"})
    one = config.model_copy(update={"play": PlayConfig(), "schedule": alternating})
    with pytest.raises(UserError, match="solve_samples"):
        check_groups(one, siblings=4)
