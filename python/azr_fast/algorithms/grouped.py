"""Algorithms that compare the episodes of a group. A class says which form a group and which
arithmetic of `ops.group_advantage` is done within it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from azr_fast.algorithms.algorithm import (
    Algorithm,
    by_prompt,
    by_task_or_source,
    by_type_and_role,
)
from azr_fast.ops.group_advantage import group_advantage
from azr_fast.types import Episode


@dataclass(frozen=True, slots=True)
class Grouped(Algorithm):
    """Advantages within groups. With `token_weighted` statistics, each token counts the same."""

    token_weighted: bool = False
    key: ClassVar[Callable[[Episode], Hashable]]
    arithmetic: ClassVar[str]

    @property
    def per_prompt(self) -> bool:
        """Whether groups are finer than a task type and role."""
        return type(self).key in (by_prompt, by_task_or_source)

    def advantages(self, batch: Sequence[Episode]) -> list[float]:
        """One for each episode; 0 for one without tokens, which trains nothing."""
        length_S = torch.tensor([episode.length for episode in batch], dtype=torch.int64)
        advantage_N = group_advantage(
            torch.tensor([episode.reward for episode in batch], dtype=torch.float64),
            _numbered([type(self).key(episode) for episode in batch]),
            length_S,
            estimator=self.arithmetic,
            token_weighted=self.token_weighted,
        )
        padded_N = torch.cat([torch.zeros(1), advantage_N])  # what ends before the first token
        ends_S = torch.where(length_S > 0, length_S.cumsum(0), 0)
        advantages: list[float] = padded_N[ends_S].tolist()
        return advantages


class TaskRelative(Grouped):
    """TRR++: normalised within each task type and role (arXiv 2505.03335, section 3.3.3)."""

    key, arithmetic = by_type_and_role, "trr++"


class ReinforcePlusPlus(Grouped):
    """REINFORCE++: normalised over the whole batch (arXiv 2501.03262)."""

    key, arithmetic = by_type_and_role, "global"


class Grpo(Grouped):
    """GRPO: normalised among the answers to one prompt (arXiv 2402.03300)."""

    key, arithmetic = by_prompt, "grpo"


class DrGrpo(Grouped):
    """Dr. GRPO: GRPO without the scale (arXiv 2503.20783)."""

    key, arithmetic = by_prompt, "dr_grpo"


class Rloo(Grouped):
    """RLOO: the mean of the other answers to the prompt is the baseline (arXiv 2402.14740)."""

    key, arithmetic = by_prompt, "rloo"


class Hierarchical(Grouped):
    """Normalised among the solutions of one task, and the proposals from one source."""

    key, arithmetic = by_task_or_source, "grpo"


def _numbered(keys: Sequence[Hashable]) -> torch.Tensor:
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(key, len(numbers)) for key in keys], dtype=torch.int64)
