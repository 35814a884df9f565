"""Advantages: from rewards of answers to one number per answer, and the weight of its tokens.

An estimator is a centring and scaling within groups; which answers form a group is its key.
Groups of one and groups without variance give 0, never NaN.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence

from azr_fast.config.schema import AdvantageConfig
from azr_fast.selfplay.types import Judged


def _members(keys: Sequence[Hashable]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        groups[key].append(index)
    return list(groups.values())


def normalise(
    rewards: Sequence[float], keys: Sequence[Hashable], weights: Sequence[float]
) -> list[float]:
    """(r - mean) / std within each group; mean and population std are weighted, in two passes."""
    advantages = [0.0] * len(rewards)
    for members in _members(keys):
        total = math.fsum(weights[i] for i in members)
        if len(members) < 2 or total <= 0.0:
            continue
        mean = math.fsum(weights[i] * rewards[i] for i in members) / total
        centred = {i: rewards[i] - mean for i in members}
        variance = math.fsum(weights[i] * centred[i] ** 2 for i in members) / total
        # Equal rewards leave only the rounding of the mean behind.
        if variance <= (1e-12 * max(1.0, abs(mean))) ** 2:
            continue
        for i in members:
            advantages[i] = centred[i] / math.sqrt(variance)
    return advantages


def leave_one_out(rewards: Sequence[float], keys: Sequence[Hashable]) -> list[float]:
    """Reward minus the mean of the other members of the group (RLOO, arXiv 2402.14740)."""
    advantages = [0.0] * len(rewards)
    for members in _members(keys):
        if len(members) < 2:
            continue
        total = math.fsum(rewards[i] for i in members)
        for i in members:
            advantages[i] = rewards[i] - (total - rewards[i]) / (len(members) - 1)
    return advantages


def set_advantages(batch: Sequence[Judged], config: AdvantageConfig) -> None:
    """Fill in `advantage` from `reward` for a batch that is about to be trained on."""
    rewards = [judged.reward for judged in batch]
    by_prompt = [judged.answer.prompt_ids for judged in batch]
    lengths = [float(len(judged.answer.token_ids)) for judged in batch]
    weights = lengths if config.token_weighted else [1.0] * len(batch)
    keys: dict[str, Sequence[Hashable]] = {
        "trr++": [judged.group for judged in batch],
        "global": [None] * len(batch),
        "grpo": by_prompt,
    }
    if config.estimator == "rloo":
        advantages = leave_one_out(rewards, by_prompt)
    else:
        advantages = normalise(rewards, keys[config.estimator], weights)
    for judged, advantage in zip(batch, advantages, strict=True):
        judged.advantage = advantage


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
