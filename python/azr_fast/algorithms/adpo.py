"""ADPO: how far a label is trusted, and how far a rare token may grow, follow from how many agreed.

Ambiguity-dynamic policy optimisation (Agent0, arXiv 2511.16043, section 3.3), with the constants of
its released code. For a task whose label the share p of its solutions agreed on when it was chosen,

    w = clamp((p - LOW) / (HIGH - LOW), 0, 1)
    advantage = (reward - mean) / deviation of its task * (LEAST_TRUST + (1 - LEAST_TRUST) * w)
    upper clip = clip_high + WIDENING * (1 - w)

so that a label which few agreed on teaches less, and a token that it favours may go further.
"""

from __future__ import annotations

from collections.abc import Sequence

from azr_fast.algorithms.algorithm import Algorithm
from azr_fast.algorithms.grouped import Hierarchical
from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.types import Episode

LOW, HIGH = 0.3, 0.8
LEAST_TRUST = 0.6
WIDENING = 0.1


class Adpo(Algorithm):
    """Solutions are compared within a task, proposals within a source. What is no solution of a
    task with a rate, so a proposal, has the advantage and the clip of GRPO."""

    @property
    def per_prompt(self) -> bool:
        """Single solutions and proposals teach nothing."""
        return True

    def advantages(self, batch: Sequence[Episode]) -> list[float]:
        """The advantage of GRPO times the trust in the task's label."""
        advantages = Hierarchical().advantages(batch)
        return [a * trust(rate_of(one)) for a, one in zip(advantages, batch, strict=True)]

    def upper_clips(self, batch: Sequence[Episode], common: float) -> list[float | None]:
        """Higher than the common one where few agreed."""
        rates = [rate_of(one) for one in batch]
        return [None if rate is None else upper_clip(rate, common) for rate in rates]


def rate_of(episode: Episode) -> float | None:
    """The share that agreed on the label of the episode's task, where it has one."""
    return episode.task.rate if episode.task else None


def trust(rate: float | None) -> float:
    """The factor of advantages, LEAST_TRUST to 1."""
    return 1.0 if rate is None else LEAST_TRUST + (1.0 - LEAST_TRUST) * _place(rate)


def upper_clip(rate: float, common: float) -> float:
    """How far above 1 a ratio counts, `common` to `common` + WIDENING."""
    return common + WIDENING * (1.0 - _place(rate))


def check_clip(config: Config) -> None:
    """Raise UserError where ADPO is chosen and its clip would never act."""
    update = config.update
    if config.advantage.estimator != "adpo":
        return
    if update.correction != "clip" or update.epochs * update.minibatches < 2:
        raise UserError(
            "advantage.estimator adpo widens the clip of ratios, and without update.correction = "
            "clip and more than one optimizer step a batch (update.minibatches or update.epochs) "
            "no ratio is ever clipped: set them, or choose hierarchical"
        )


def _place(rate: float) -> float:
    """Where a rate lies between LOW and HIGH, 0 to 1."""
    return min(1.0, max(0.0, (rate - LOW) / (HIGH - LOW)))
