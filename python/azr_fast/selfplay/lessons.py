"""From judged episodes to what the policy learns from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from azr_fast.algorithms.algorithm import Algorithm
from azr_fast.algorithms.weights import token_weights
from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.policy.packing import TrainSequence
from azr_fast.selfplay.entropy import entropy_weights
from azr_fast.types import Episode, Family


def lessons(
    batch: Sequence[Episode], algorithm: Algorithm, config: Config, step: int
) -> list[TrainSequence]:
    """What one policy learns from these episodes, whose advantages are set."""
    weights = token_weights(batch, config.advantage)
    if not config.update.kl:  # it pulls at every answer
        seed = f"{config.run.seed}/{step}"
        weights = entropy_weights(batch, weights, config.update.entropy, seed)
    highs = algorithm.upper_clips(batch, config.update.clip_high)
    return [lesson(*each) for each in zip(batch, weights, highs, strict=True)]


def lesson(episode: Episode, weight: float, clip_high: float | None = None) -> TrainSequence:
    """What the policy learns from an episode."""
    return TrainSequence(
        episode.prompt_ids,
        episode.response_ids,
        advantage=episode.advantage,
        weight=weight,
        behaviour_logprobs=episode.sampled_logprobs,
        sampled=episode.response_mask,
        clip_high=clip_high,
    )


def check_rewards(families: Sequence[Family]) -> None:
    """Raise UserError for a reward that is no number: the mistake of a game."""
    for family in families:
        for episode in family.episodes:
            if not isinstance(episode.reward, int | float) or not math.isfinite(episode.reward):
                raise UserError(
                    f"the game gave episode {episode.id} ({episode.kind}, {episode.role}) the "
                    f"reward {episode.reward!r}: mend its score()"
                )
