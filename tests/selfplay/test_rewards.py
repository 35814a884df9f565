import pytest

from azr_fast.config.schema import RewardConfig
from azr_fast.selfplay.rewards import learnability, reward
from azr_fast.selfplay.types import Answer, Judged, Judgement, Prompt, Role, Status


def judged(role, status, **stats):
    answer = Answer((0,), Prompt("a", role, ()), (1,), (1,), (0.0,), "", False)
    return Judged(answer, Judgement(status, "code"), stats)


PAPER = RewardConfig()


@pytest.mark.parametrize(
    ("accuracy", "expected"), [(0.0, 0.0), (0.25, 0.75), (0.875, 0.125), (1.0, 0.0)]
)
def test_proposer_earns_one_minus_accuracy_but_nothing_at_the_ends(accuracy, expected):
    one = judged(Role.PROPOSER, Status.PASSED, new=True, accuracy=accuracy)
    assert reward(one, PAPER) == expected


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
    assert reward(judged(Role.SOLVER, status), PAPER) == expected


@pytest.mark.parametrize("status", [Status.MALFORMED, Status.REJECTED])
def test_invalid_proposals_earn_minus_one_in_the_paper(status):
    assert reward(judged(Role.PROPOSER, status), PAPER) == -1.0


def test_small_model_shaping_tells_malformed_invalid_duplicate_and_new_apart():
    config = RewardConfig(rejected=-0.5, duplicate=-0.5, new_task_bonus=0.25)
    assert reward(judged(Role.PROPOSER, Status.MALFORMED), config) == -1.0
    assert reward(judged(Role.PROPOSER, Status.REJECTED), config) == -0.5
    # A known task is not priced at all when duplicates have a reward of their own.
    assert reward(judged(Role.PROPOSER, Status.PASSED, new=False), config) == -0.5
    new = judged(Role.PROPOSER, Status.PASSED, new=True, accuracy=0.5)
    assert reward(new, config) == 0.75
