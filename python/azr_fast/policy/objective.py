"""What the tokens of a pack are trained for, by the config."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from azr_fast.config.schema import UpdateConfig
from azr_fast.ops.objective import Objective, PerToken
from azr_fast.policy.packing import Pack, TrainSequence


def objective(
    pack: Pack, batch: Sequence[TrainSequence], update: UpdateConfig, device: torch.device
) -> Objective:
    """The objective of a pack's tokens; ops/objective.py has the formulas.

    Raises ValueError when a correction lacks the log-probs of sampling time, or the KL term those
    of the reference.
    """
    behaviour_N = reference_N = None
    if update.correction != "none":
        sampled = [one.behaviour_logprobs for one in batch]
        behaviour_N = _logprobs(pack, sampled, "of sampling time").to(device)
    if update.kl:
        reference = [one.reference_logprobs for one in batch]
        reference_N = _logprobs(pack, reference, "of the reference model").to(device)
    return Objective(
        pack.per_answer([one.advantage for one in batch]).to(device),
        pack.per_answer([one.weight for one in batch]).to(device),
        entropy_weight=update.entropy,
        behaviour_logp_N=behaviour_N,
        correction=update.correction,
        low=update.clip_low,
        high=_high(pack, batch, update, device),
        dual=update.dual_clip,
        cap=update.truncate_at,
        reference_logp_N=reference_N,
        kl_weight=update.kl,
    )


def _high(
    pack: Pack, batch: Sequence[TrainSequence], update: UpdateConfig, device: torch.device
) -> PerToken:
    """One upper clip for all, or where an answer has one of its own, one for each token."""
    own = [one.clip_high for one in batch]
    if all(high is None for high in own):
        return update.clip_high
    return pack.per_answer([update.clip_high if high is None else high for high in own]).to(device)


def _logprobs(pack: Pack, known: Sequence[tuple[float, ...] | None], whose: str) -> torch.Tensor:
    """Float32 [N] of what is known of each answer."""
    missing = [owner for owner in set(pack.owners_N.tolist()) if known[owner] is None]
    if missing:
        raise ValueError(f"answer {missing[0]} of the batch has no log-probs {whose}")
    return pack.per_token([logprobs or () for logprobs in known])
