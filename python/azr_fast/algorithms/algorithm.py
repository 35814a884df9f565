"""What an algorithm supplies: advantages of episodes from their rewards."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

from azr_fast.types import Episode, Role


class Algorithm(Protocol):
    """An algorithm turns the rewards of a step into one number per episode.

    Whoever names this class as a base inherits that nothing is remembered between steps.
    """

    @property
    def per_prompt(self) -> bool:
        """Whether only episodes of one prompt, source or task are compared: where there is a single
        one, nothing can be learnt from it."""
        return False

    def advantages(self, batch: Sequence[Episode]) -> list[float]:
        """An advantage for each episode, in order. Where groups are compared within a step, those
        of equal rewards in a group are 0."""

    def upper_clips(self, batch: Sequence[Episode], common: float) -> Sequence[float | None]:
        """An upper clip for each episode, where `update.correction` is clip; None: the common one,
        `update.clip_high`."""
        return [None] * len(batch)

    def state(self) -> Mapping[str, Any]:
        """What the next step depends on, as JSON; it is saved in checkpoints."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave."""
        assert not state, "an algorithm that has a state takes it up again"


def by_type_and_role(episode: Episode) -> Hashable:
    """The groups of TRR++ (arXiv 2505.03335, section 3.3.3)."""
    return episode.group


def by_prompt(episode: Episode) -> Hashable:
    """Episodes that began with the same tokens."""
    return episode.prompt_ids


def by_task_or_source(episode: Episode) -> Hashable:
    """Solutions of one task; proposals made from one source."""
    if episode.role is Role.PROPOSER:
        assert episode.source is not None
        return episode.source.key
    assert episode.task is not None
    return episode.task.kind, episode.task.key
