"""What an update did: its statistics, and how they are summed up pack by pack and step by step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import torch

from azr_fast.ops.linear_policy_loss import PolicyLoss
from azr_fast.policy.packing import Pack, TrainSequence

# Nats. In the mean gap, tokens further apart count as so far apart.
FAR = 3.0


@dataclass(slots=True)
class UpdateStats:
    """What one update did. Means are over trained tokens, each counted once."""

    loss: float = 0.0
    entropy: float = 0.0  # nats; over computed tokens, which lean to surprising answers
    grad_norm: float = 0.0  # before the clip
    # |log p here - log p when sampled| where known: its mean, far tokens counted as FAR,
    # its maximum, and over how many tokens.
    logprob_gap: float | None = None
    logprob_gap_max: float | None = None
    gap_tokens: int = 0
    tokens_trained: int = 0  # response tokens that entered the loss
    tokens_computed: int = 0  # tokens the model ran over, prompts included
    tokens_unshared: int = 0  # what tokens_computed would be if no two answers shared a prompt
    share_with_gradient: float = 0.0  # of response tokens: those whose advantage is not zero
    kl: float | None = None  # k3 to the reference, nats; where there is one
    clipped: float = 0.0  # share of trained tokens whose ratio the correction bounds
    packs: int = 0
    learning_rate: float = 0.0
    skipped: str = ""  # why the step was not made, where it would have done harm
    moved: bool = False  # whether a step was made
    seconds: dict[str, float] = field(default_factory=dict)  # by phase


class Clock:
    """Adds up seconds by phase."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._since = time.perf_counter()

    def lap(self, phase: str) -> None:
        """End a phase: it took the time since the last one ended."""
        now = time.perf_counter()
        self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._since
        self._since = now


@dataclass(slots=True)
class Sums:
    """Sums over the tokens of a batch."""

    logp_of: list[float]  # by answer
    loss: float = 0.0
    entropy: float = 0.0
    tokens: int = 0
    gap: float = 0.0
    gap_max: float = 0.0
    gap_tokens: int = 0
    k3: float = 0.0
    clipped: float = 0.0

    def add(self, pack: Pack, batch: Sequence[TrainSequence], result: PolicyLoss) -> None:
        """Take in what the head found of a pack."""
        self.loss += result.loss_N.sum().item()
        self.entropy += result.entropy_N.sum().item()
        self.k3 += result.k3_N.sum().item()
        self.clipped += result.clipped_N.sum().item()
        self.tokens += pack.trained
        self._add_logprobs(pack, batch, result.logp_N)

    def _add_logprobs(
        self, pack: Pack, batch: Sequence[TrainSequence], logp_N: torch.Tensor
    ) -> None:
        """Take in the log-probs of a pack, in which the tokens of an answer lie together."""
        owners, lengths = torch.unique_consecutive(pack.owners_N, return_counts=True)
        answers = torch.split(logp_N.cpu(), lengths.tolist())
        for owner, logp in zip(owners.tolist(), answers, strict=True):
            self.logp_of[owner] = logp.sum().item()
            sampled = batch[owner].behaviour_logprobs
            if sampled is not None:
                self._add_gap(logp - torch.tensor(sampled))

    def _add_gap(self, difference_N: torch.Tensor) -> None:
        """Far tokens count as FAR nats, so that a few of them cannot make the mean; NaN is far."""
        gap_N = difference_N.abs().nan_to_num(nan=float("inf"))
        self.gap += gap_N.clamp(max=FAR).sum().item()
        self.gap_max = max(self.gap_max, gap_N.max().item())
        self.gap_tokens += len(gap_N)

    def write(self, stats: UpdateStats) -> None:
        """Fill in what was summed up."""
        stats.loss = self.loss
        stats.entropy = self.entropy / max(1, self.tokens)
        stats.clipped = self.clipped / max(1, self.tokens)
        stats.tokens_trained = self.tokens
        if stats.kl is not None:
            stats.kl = self.k3 / max(1, self.tokens)
        stats.gap_tokens = self.gap_tokens
        if self.gap_tokens:
            stats.logprob_gap = self.gap / self.gap_tokens
            stats.logprob_gap_max = self.gap_max


def merged(parts: Sequence[UpdateStats]) -> UpdateStats:
    """One update's statistics from those of its optimizer steps (not empty).

    The gap to what was sampled is that of the first step: later ones have moved away. Counts and
    seconds are sums, a reason to skip is the first; the rest are means, over trained tokens where
    they are of tokens.
    """
    if len(parts) == 1:
        return parts[0]
    whole = replace(parts[0], seconds=_summed([part.seconds for part in parts]))
    for name in ("tokens_trained", "tokens_computed", "tokens_unshared", "packs"):
        setattr(whole, name, sum(getattr(part, name) for part in parts))
    for name in ("loss", "grad_norm", "share_with_gradient", "learning_rate"):
        setattr(whole, name, fmean(getattr(part, name) for part in parts))
    weights = [part.tokens_trained or 1e-9 for part in parts]  # a mean also where there are none
    for name in ("entropy", "clipped"):
        setattr(whole, name, fmean([getattr(part, name) for part in parts], weights))
    if whole.kl is not None:
        whole.kl = fmean([part.kl or 0.0 for part in parts], weights)
    whole.moved = any(part.moved for part in parts)
    whole.skipped = next((part.skipped for part in parts if part.skipped), "")
    return whole


def _summed(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


def share_with_gradient(batch: Sequence[TrainSequence]) -> float:
    """Share of a batch's tokens that have an advantage and a weight."""
    tokens = sum(s.trained for s in batch)
    return sum(s.trained for s in batch if s.advantage and s.weight) / max(1, tokens)
