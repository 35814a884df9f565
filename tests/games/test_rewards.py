import pytest

from azr_fast.games.azr.config import RewardConfig
from azr_fast.games.azr.plan import best_solve_rate
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


def bonus_of(accuracy, version=0, new=True, **keys):
    """What the bonus adds to a reward of 0."""
    config = RewardConfig(new_task_bonus=0.5, zero_learnability=0.0, **keys)
    episode = Episode((0,), Role.PROPOSER, "a", version=version)
    episode.verdict = Verdict(Status.PASSED, "ok")
    episode.facts = {"new": new, "accuracy": accuracy}
    score(Family(episode), config)
    return episode.reward - learnability(accuracy, config)


@pytest.mark.parametrize(("accuracy", "paid"), [(0.0, 0.0), (0.25, 0.5), (0.75, 0.5), (1.0, 0.0)])
def test_the_bonus_can_be_for_learnable_tasks_alone(accuracy, paid):
    assert bonus_of(accuracy, bonus_for="learnable") == pytest.approx(paid)
    assert bonus_of(accuracy) == pytest.approx(0.5)
    assert bonus_of(accuracy, bonus_for="learnable", new=False) == 0.0


@pytest.mark.parametrize(
    ("updates", "paid"), [(0, 0.5), (10, 0.375), (20, 0.25), (40, 0.0), (99, 0.0)]
)
def test_the_bonus_can_fall_with_the_updates_made(updates, paid):
    assert bonus_of(0.5, updates, bonus_steps=40) == pytest.approx(paid)
    assert bonus_of(0.5, updates) == pytest.approx(0.5)


def test_a_bonus_for_learnable_tasks_moves_the_best_solve_rate():
    """The root of 12 (1 - p)^7 - 4 p^7 = 1, which is the derivative for n = 8 and a bonus of 1/2."""
    config = RewardConfig(new_task_bonus=0.5, bonus_for="learnable")
    assert best_solve_rate(config, 8) == pytest.approx(0.299, abs=2e-3)
    assert best_solve_rate(RewardConfig(new_task_bonus=0.5), 8) == best_solve_rate(
        RewardConfig(), 8
    )
