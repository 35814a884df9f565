import pytest

from azr_fast.games.azr.config import RewardConfig
from azr_fast.games.azr.rewards import learnability, score
from azr_fast.types import Episode, Family, Role, Status, Verdict


def reward(role, status, config, **facts):
    episode = Episode((0,), role, "a", verdict=Verdict(status, "code"), facts=facts)
    family = Family(episode) if role is Role.PROPOSER else Family(None, [episode])
    score(family, config)
    return episode.reward


PAPER = RewardConfig()


@pytest.mark.parametrize(
    ("accuracy", "expected"), [(0.0, 0.0), (0.25, 0.75), (0.875, 0.125), (1.0, 0.0)]
)
def test_proposer_earns_one_minus_accuracy_but_nothing_at_the_ends(accuracy, expected):
    got = reward(Role.PROPOSER, Status.PASSED, PAPER, new=True, accuracy=accuracy)
    assert got == expected


def test_zero_learnability_can_follow_the_reference_code():
    config = RewardConfig(zero_learnability=-0.5)
    assert learnability(0.0, config) == learnability(1.0, config) == -0.5
    assert learnability(0.5, config) == 0.5


def test_variance_learnability_peaks_at_one_half():
    config = RewardConfig(learnability="variance")
    assert learnability(0.5, config) == 1.0
    assert learnability(0.25, config) == 0.75


@pytest.mark.parametrize(
    ("status", "expected"), [(Status.PASSED, 1.0), (Status.WRONG, -0.5), (Status.MALFORMED, -1.0)]
)
def test_solver_composite_reward(status, expected):
    assert reward(Role.SOLVER, status, PAPER) == expected


@pytest.mark.parametrize("status", [Status.MALFORMED, Status.REJECTED])
def test_invalid_proposals_earn_minus_one_in_the_paper(status):
    assert reward(Role.PROPOSER, status, PAPER) == -1.0


def test_small_model_shaping_tells_malformed_invalid_duplicate_and_new_apart():
    config = RewardConfig(rejected=-0.5, duplicate=-0.5, new_task_bonus=0.25)
    assert reward(Role.PROPOSER, Status.MALFORMED, config) == -1.0
    assert reward(Role.PROPOSER, Status.REJECTED, config) == -0.5
    # A known task is not priced at all when duplicates have a reward of their own.
    assert reward(Role.PROPOSER, Status.PASSED, config, new=False) == -0.5
    assert reward(Role.PROPOSER, Status.PASSED, config, new=True, accuracy=0.5) == 0.75


@pytest.mark.parametrize("role", list(Role))
def test_an_episode_that_failed_has_no_reward(role):
    assert reward(role, Status.FAILED, PAPER) == 0.0
