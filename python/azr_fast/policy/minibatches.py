"""Several optimizer steps on what one step of self-play sampled (PPO, arXiv 1707.06347)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from azr_fast.config.schema import UpdateConfig
from azr_fast.policy.packing import TrainSequence
from azr_fast.policy.policy import Policy
from azr_fast.policy.stats import UpdateStats, merged


def learn(
    policy: Policy,
    batch: Sequence[TrainSequence],
    update: UpdateConfig,
    rng: random.Random,
    on_progress: Callable[[int, int], None],
    accept: Callable[[UpdateStats], None],
) -> UpdateStats:
    """Go through the batch `update.epochs` times, in `update.minibatches` steps each.

    `accept` sees the statistics of the first step before any weight moves; what it raises leaves
    the policy as it was.
    """
    batch, done = policy.with_reference(batch), list[UpdateStats]()
    for part in minibatches(batch, update, rng):
        done.append(policy.update(part, on_progress, accept))
        accept = _agree
    return merged(done)


def minibatches(
    batch: Sequence[TrainSequence], update: UpdateConfig, rng: random.Random
) -> Iterator[Sequence[TrainSequence]]:
    """The parts of a batch in the order in which they are learnt from; whole where there is one.

    Each epoch shuffles anew. A part of `minibatches` weighs as many times more, so that its
    gradient estimates that of the whole batch.
    """
    count = min(update.minibatches, max(1, len(batch)))
    if count == 1:
        yield from [batch] * update.epochs
        return
    for _ in range(update.epochs):
        shuffled = rng.sample(batch, len(batch))
        for first in range(count):
            yield [replace(one, weight=one.weight * count) for one in shuffled[first::count]]


def _agree(stats: UpdateStats) -> None:
    """Later steps see a policy that has moved on purpose."""
