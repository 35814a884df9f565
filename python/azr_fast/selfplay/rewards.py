"""Rewards: pure functions of verdicts (arXiv 2505.03335, equations 4 to 6)."""

from __future__ import annotations

from azr_fast.config.schema import RewardConfig
from azr_fast.selfplay.types import Judged, Role, Status


def learnability(accuracy: float, config: RewardConfig) -> float:
    """Worth of a task that solvers get right with this rate: none at 0 and 1 (equation 4)."""
    if accuracy <= 0.0 or accuracy >= 1.0:
        return config.zero_learnability
    if config.learnability == "variance":
        return 4.0 * accuracy * (1.0 - accuracy)
    return 1.0 - accuracy


def proposer_reward(judged: Judged, config: RewardConfig) -> float:
    """Reward of a proposal; `stats` holds "new" and, once it was priced, "accuracy"."""
    status = judged.judgement.status
    if status is Status.MALFORMED:
        return config.malformed
    if status is not Status.PASSED:
        return config.rejected
    new = judged.stats["new"]
    if not new and config.duplicate is not None:
        return config.duplicate
    bonus = config.new_task_bonus if new else 0.0
    return learnability(judged.stats["accuracy"], config) + bonus


def solver_reward(judged: Judged, config: RewardConfig) -> float:
    """Reward of a solution: 1, `wrong` or `malformed` (equations 5 and 6)."""
    status = judged.judgement.status
    if status is Status.PASSED:
        return 1.0
    return config.malformed if status is Status.MALFORMED else config.wrong


def reward(judged: Judged, config: RewardConfig) -> float:
    """Reward of any answer, by its role."""
    role = judged.answer.prompt.role
    return (proposer_reward if role is Role.PROPOSER else solver_reward)(judged, config)
