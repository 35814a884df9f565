"""Statistics of rows of logits, and how those of a vocabulary's shards combine.

A head split over ranks by its rows sees a part of the vocabulary on each rank. Nothing is lost: the
statistics of the parts are all that log-probability and entropy of the whole need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class RowStatistics:
    """Of N rows of scaled logits z, with y = z - shift."""

    shift_N: torch.Tensor  # the largest z
    exp_N: torch.Tensor  # sum of e^y
    y_exp_N: torch.Tensor  # sum of y e^y
    target_y_N: torch.Tensor  # y of the target; -inf where it lies in another shard

    def logp(self) -> torch.Tensor:
        """Log p of each row's target, nats."""
        return self.target_y_N - self.exp_N.log()

    def entropy(self) -> torch.Tensor:
        """Of each row's softmax, nats."""
        return self.exp_N.log() - self.y_exp_N / self.exp_N


def merge(shards: Sequence[RowStatistics]) -> RowStatistics:
    """The statistics of the same rows over all shards' columns together, in any order.

    Every shard holds at least one column with a finite logit; every target lies in one shard.
    """
    shift_SN, exp_SN, y_exp_SN, target_y_SN = (
        torch.stack(column) for column in zip(*map(_columns, shards), strict=True)
    )
    shift_N = shift_SN.amax(0)
    move_SN = shift_SN - shift_N  # at most 0: e^move cannot overflow
    factor_SN = move_SN.exp()
    return RowStatistics(
        shift_N,
        (factor_SN * exp_SN).sum(0),
        (factor_SN * (y_exp_SN + move_SN * exp_SN)).sum(0),
        (target_y_SN + move_SN).amax(0),
    )


def _columns(shard: RowStatistics) -> tuple[torch.Tensor, ...]:
    return shard.shift_N, shard.exp_N, shard.y_exp_N, shard.target_y_N
