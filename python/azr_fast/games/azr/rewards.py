"""Rewards: pure functions of verdicts (arXiv 2505.03335, equations 4 to 6)."""

from __future__ import annotations

from azr_fast.games.azr.config import RewardConfig
from azr_fast.types import Episode, Family, Status


def score(family: Family, config: RewardConfig) -> None:
    """Set the rewards of a family."""
    for solve in family.solves:
        if not solve.failed:
            solve.reward = solver_reward(solve.verdict.status, config)
    if family.proposal is not None and not family.proposal.failed:
        family.proposal.reward = proposer_reward(family.proposal, config)


def learnability(accuracy: float, config: RewardConfig) -> float:
    """Worth of a task that solvers get right with this rate: none at 0 and 1 (equation 4)."""
    if accuracy <= 0.0 or accuracy >= 1.0:
        return config.zero_learnability
    if config.learnability == "variance":
        return 4.0 * accuracy * (1.0 - accuracy)
    return 1.0 - accuracy


def proposer_reward(proposal: Episode, config: RewardConfig) -> float:
    """Reward of a proposal; its facts hold "new" and, where it was priced, "accuracy"."""
    status = proposal.verdict.status
    if status is Status.MALFORMED:
        return config.malformed
    if status is not Status.PASSED:
        return config.rejected
    if not proposal.facts["new"] and config.duplicate is not None:
        return config.duplicate
    return learnability(proposal.facts["accuracy"], config) + _bonus(proposal, config)


def is_learnable(proposal: Episode) -> bool:
    """Whether the task was priced, and solved sometimes and not always."""
    accuracy = proposal.facts.get("accuracy")
    return accuracy is not None and 0.0 < accuracy < 1.0


def solver_reward(status: Status, config: RewardConfig) -> float:
    """Reward of a solution: 1, `wrong` or `malformed` (equations 5 and 6)."""
    if status is Status.PASSED:
        return 1.0
    return config.malformed if status is Status.MALFORMED else config.wrong


def _bonus(proposal: Episode, config: RewardConfig) -> float:
    """What a new task earns beside; it falls with the updates that the proposer has seen."""
    pays = config.bonus_for == "valid" or is_learnable(proposal)
    if not proposal.facts["new"] or not pays:
        return 0.0
    passed = proposal.version / config.bonus_steps if config.bonus_steps else 0.0
    return config.new_task_bonus * max(0.0, 1.0 - passed)
