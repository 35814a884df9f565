"""Advantages: from rewards of answers to one number per answer, and the weight of its tokens.

Which answers form a group is decided here; the estimators' arithmetic is `ops.group_advantage`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import islice

import torch

from azr_fast.config.schema import AdvantageConfig
from azr_fast.ops.group_advantage import group_advantage
from azr_fast.selfplay.types import Judged


def set_advantages(batch: Sequence[Judged], config: AdvantageConfig) -> None:
    """Fill in `advantage` from `reward` for a batch that is about to be trained on; an answer
    without tokens, which trains nothing, gets 0."""
    lengths = [len(judged.answer.token_ids) for judged in batch]
    advantage_N = group_advantage(
        torch.tensor([judged.reward for judged in batch], dtype=torch.float64),
        _group_ids([_key(judged, config) for judged in batch]),
        torch.tensor(lengths, dtype=torch.int64),
        estimator=config.estimator,
        token_weighted=config.token_weighted,
    )
    per_token = iter(advantage_N.tolist())
    for judged, length in zip(batch, lengths, strict=True):
        judged.advantage = next(islice(per_token, length - 1, None)) if length else 0.0


def _key(judged: Judged, config: AdvantageConfig) -> Hashable:
    """Which answers form a group: those of a task and role, or those to one prompt."""
    return judged.group if config.estimator == "trr++" else judged.answer.prompt_ids


def _group_ids(keys: Sequence[Hashable]) -> torch.Tensor:
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(key, len(numbers)) for key in keys], dtype=torch.int64)


def token_weights(batch: Sequence[Judged], config: AdvantageConfig) -> list[float]:
    """Weight of each token of each answer in the loss; over all tokens they add up to 1.

    "equal" gives every task-role group the same say, so that many priced solutions do not drown
    the few proposals they came from.
    """
    lengths = [len(judged.answer.token_ids) for judged in batch]
    if config.group_weighting == "tokens":
        return [1.0 / max(1, sum(lengths))] * len(batch)
    totals: dict[Hashable, int] = defaultdict(int)
    for judged, length in zip(batch, lengths, strict=True):
        totals[judged.group] += length
    filled = sum(1 for total in totals.values() if total)
    return [1.0 / (filled * max(1, totals[judged.group])) for judged in batch]
