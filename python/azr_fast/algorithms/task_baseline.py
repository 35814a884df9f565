"""TRR++ with the baseline apart from the scale."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from statistics import fmean

from azr_fast.algorithms.algorithm import Algorithm, by_task_or_source, by_type_and_role
from azr_fast.types import Episode

NO_SPREAD = 1e-12  # relative to the rewards: rounding alone


class TaskBaseline(Algorithm):
    """A baseline per task, and a scale per task type and role.

    Most of the variance of solvers' rewards lies between tasks (55 to 70% with a 0.5B model): it
    says which tasks are hard, not which solutions are good. A task or source of which there is one
    episode has no baseline of its own and gets that of its type and role.
    """

    def advantages(self, batch: Sequence[Episode]) -> list[float]:
        """The reward over its baseline, in standard deviations of that in its type and role."""
        rewards = [one.reward for one in batch]
        coarse = [by_type_and_role(one) for one in batch]
        fine = [by_task_or_source(one) for one in batch]
        wide, narrow = _grouped(rewards, coarse), _grouped(rewards, fine)
        centred = [
            reward - fmean(narrow[task] if len(narrow[task]) > 1 else wide[group])
            for reward, group, task in zip(rewards, coarse, fine, strict=True)
        ]
        squares = _grouped([value * value for value in centred], coarse)
        largest = max(map(abs, rewards), default=0.0)
        return [
            _scaled(value, math.sqrt(fmean(squares[group])), largest)
            for value, group in zip(centred, coarse, strict=True)
        ]


def _grouped(values: Sequence[float], keys: Sequence[Hashable]) -> dict[Hashable, list[float]]:
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for value, key in zip(values, keys, strict=True):
        groups[key].append(value)
    return groups


def _scaled(value: float, deviation: float, largest: float) -> float:
    return value / deviation if deviation > NO_SPREAD * max(1.0, largest) else 0.0
