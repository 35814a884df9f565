"""From scored episodes to updates: advantages, lessons, one update of each policy that learns."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from azr_fast.algorithms.algorithm import Algorithm
from azr_fast.config.schema import Config
from azr_fast.policy.minibatches import learn
from azr_fast.policy.packing import TrainSequence
from azr_fast.policy.policy import Policy
from azr_fast.policy.stats import UpdateStats
from azr_fast.rollout.parity import check_gap
from azr_fast.selfplay.entropy import entropy_shares
from azr_fast.selfplay.journal import StepRecord
from azr_fast.selfplay.lessons import lessons
from azr_fast.selfplay.policies import Accept, Policies
from azr_fast.selfplay.schedule import Phase
from azr_fast.types import Episode


class Learner:
    """Learns from the episodes of a step what its phase has learnt."""

    def __init__(
        self,
        config: Config,
        algorithm: Algorithm,
        policies: Policies,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._config = config
        self._algorithm = algorithm
        self._policies = policies
        self._on_progress = on_progress

    def credit(self, phase: Phase, batch: Sequence[Episode]) -> None:
        """Set the advantages of a batch, among the episodes of each policy."""
        for part in self._policies.split(batch, phase.learners).values():
            advantages = self._algorithm.advantages(part)
            for episode, advantage in zip(part, advantages, strict=True):
                episode.advantage = advantage

    def learn(self, phase: Phase, batch: Sequence[Episode], record: StepRecord) -> None:
        """One update of each policy that learns now, on its part of the batch; noted in `record`.

        Raises ParityError for episodes that were not sampled from the policy; no weight has moved
        then.
        """
        parts = self._policies.split(batch, phase.learners)
        taught = {
            policy: lessons(part, self._algorithm, self._config, record.step)
            for policy, part in parts.items()
        }
        record.entropy_shares = entropy_shares(
            [episode for part in parts.values() for episode in part],
            [lesson.weight for part in taught.values() for lesson in part],
        )
        update = partial(self._update, record.step)
        record.updates = self._policies.learn(taught, update, self._check_sampled)

    def _update(
        self, step: int, policy: Policy, taught: Sequence[TrainSequence], accept: Accept
    ) -> UpdateStats:
        """The optimizer steps of one policy."""
        rng = random.Random(f"{self._config.run.seed}/{step}/minibatches")
        return learn(policy, taught, self._config.update, rng, self._on_progress, accept)

    def _check_sampled(self, stats: UpdateStats) -> None:
        """Before weights move: was the batch sampled from the policy?"""
        check_gap(stats.logprob_gap, stats.gap_tokens, self._config)
