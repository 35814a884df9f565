"""RAE: a baseline per task type and role that moves from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azr_fast.algorithms.algorithm import Algorithm
from azr_fast.types import Episode

DECAY = 0.95  # of the paper


class MovingBaseline(Algorithm):
    """Role-conditioned advantage estimation (SPIRAL, arXiv 2506.24119, section 3.3).

    Each episode, in order, moves the baseline of its type and role towards its reward, and has the
    difference as its advantage. Rewards are not scaled.
    """

    def __init__(self) -> None:
        self._baselines: dict[str, float] = {}

    def advantages(self, batch: Sequence[Episode]) -> list[float]:
        """The reward over the baseline that it has just moved."""
        return [self._advantage(f"{one.kind}/{one.role}", one.reward) for one in batch]

    def state(self) -> Mapping[str, Any]:
        """The baselines, by type and role."""
        return dict(self._baselines)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up saved baselines."""
        self._baselines = dict(state)

    def _advantage(self, group: str, reward: float) -> float:
        baseline = DECAY * self._baselines.get(group, 0.0) + (1.0 - DECAY) * reward
        self._baselines[group] = baseline
        return reward - baseline
