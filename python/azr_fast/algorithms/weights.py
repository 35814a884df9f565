"""The weight of each token in the loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

from azr_fast.config.schema import AdvantageConfig
from azr_fast.types import Episode

MOST_OVER_TOKENS = 4


def token_weights(batch: Sequence[Episode], config: AdvantageConfig) -> list[float]:
    """Weight of each token of each answer in the loss; over all tokens they add up to 1.

    "equal" gives every task-role group the same say, so that many priced solutions do not drown
    the few proposals they came from. A group of very few tokens gets less: no token weighs more
    than MOST_OVER_TOKENS times what it would weigh under "tokens".
    """
    lengths = [episode.length for episode in batch]
    if config.group_weighting == "tokens":
        return [1.0 / max(1, sum(lengths))] * len(batch)
    totals: dict[Hashable, int] = defaultdict(int)
    for episode, length in zip(batch, lengths, strict=True):
        totals[episode.group] += length
    shares = _equal_shares(totals)
    return [shares[episode.group] / max(1, totals[episode.group]) for episode in batch]


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
