"""Advantages: from rewards of answers to one number per answer, and the weight of its tokens.

Which answers form a group is decided here; the estimators' arithmetic is `ops.group_advantage`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from itertools import islice

import torch

from azr_fast.config.schema import AdvantageConfig
from azr_fast.ops.group_advantage import group_advantage
from azr_fast.selfplay.types import Judged

MOST_OVER_TOKENS = 4


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
    the few proposals they came from. A group of very few tokens gets less: no token weighs more
    than MOST_OVER_TOKENS times what it would weigh under "tokens".
    """
    lengths = [len(judged.answer.token_ids) for judged in batch]
    if config.group_weighting == "tokens":
        return [1.0 / max(1, sum(lengths))] * len(batch)
    totals: dict[Hashable, int] = defaultdict(int)
    for judged, length in zip(batch, lengths, strict=True):
        totals[judged.group] += length
    shares = _equal_shares(totals)
    return [shares[judged.group] / max(1, totals[judged.group]) for judged in batch]


def _equal_shares(totals: Mapping[Hashable, int]) -> dict[Hashable, float]:
    """Each group's share of the loss, from its tokens: equal up to the bound.

    What the bound takes from small groups is shared equally among the larger ones, up to theirs.
    The bounds add up to MOST_OVER_TOKENS, so there is always room for the whole loss.
    """
    tokens = max(1, sum(totals.values()))
    filled = sorted((group for group in totals if totals[group]), key=lambda g: totals[g])
    shares: dict[Hashable, float] = dict.fromkeys(totals, 0.0)
    left = 1.0
    for done, group in enumerate(filled):
        bound = MOST_OVER_TOKENS * totals[group] / tokens
        shares[group] = min(left / (len(filled) - done), bound)
        left -= shares[group]
    return shares
