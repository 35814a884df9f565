"""The objective of a token: its loss as a function of its log-probability and entropy.

For a token with log-probability lp, entropy H and advantage A

    loss = weight * (surrogate(lp) + kl_weight * k3(lp) - entropy_weight * H)

    correction   surrogate
    none         -A lp                                                                   (REINFORCE)
    clip         -min(r A, clip(r, 1 - low, 1 + high) A) with r = e^(lp - behaviour)           (PPO)
                 where A < 0 and `dual` is given, not above -dual A        (arXiv 1912.09729)
    truncate     -w A lp with w = min(e^(lp - behaviour), cap), a constant       (arXiv 2505.24034)

    k3(lp) = e^(reference - lp) - (reference - lp) - 1, an estimate of KL(policy | reference)
             (Schulman, http://joschu.net/blog/kl-approx.html)

Exponents are clamped to ±20; beyond, the term is constant and has no gradient. Everything is local
to a token, so one pass over its logits yields statistics, loss and gradient. This file has the
arithmetic in torch, the oracle of the row kernels in C++ and Triton.

Suffixes: N tokens; 7N and 6N per-token values one row after the other, as kernels take them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch

from azr_fast.ops.checks import require, require_everywhere, require_per_token

CORRECTIONS = ("none", "clip", "truncate")  # kernels get the index
LARGEST_EXPONENT = 20.0
PerToken = float | torch.Tensor  # a number for all, or float32 [N]


class TokenResults(NamedTuple):
    """The rows of a `results_6N`: what a row kernel writes about each token."""

    logp: torch.Tensor  # nats
    entropy: torch.Tensor  # nats
    loss: torch.Tensor
    coefficient: torch.Tensor  # -d loss / d logp
    k3: torch.Tensor  # nats; 0 without reference
    clipped: torch.Tensor  # 1 where the correction bounds the token's weight, else 0


class Terms(NamedTuple):
    """Of each token; the gradient of the loss is -coefficient d logp - entropy_coefficient d H."""

    loss: torch.Tensor
    coefficient: torch.Tensor
    entropy_coefficient: torch.Tensor
    k3: torch.Tensor
    clipped: torch.Tensor  # bool


@dataclass(frozen=True, slots=True)
class TokenObjective:
    """An objective as row kernels take it. `Objective.checked` makes it."""

    per_token_7N: torch.Tensor  # float32, contiguous; the rows in the order of `unpacked`
    correction: int = 0  # index into CORRECTIONS
    dual: float = torch.inf
    cap: float = torch.inf
    kl_weight: float = 0.0
    has_reference: bool = False

    @staticmethod
    def plain(coefficient_N: torch.Tensor, entropy_weight_N: torch.Tensor) -> TokenObjective:
        """Loss -(coefficient * logp + entropy_weight * entropy), unchecked."""
        zero_N, one_N = torch.zeros_like(coefficient_N), torch.ones_like(coefficient_N)
        rows = coefficient_N, one_N, entropy_weight_N, zero_N, one_N, one_N, zero_N
        return TokenObjective(torch.stack(rows))

    def unpacked(self) -> tuple[torch.Tensor, ...]:
        """Advantage, weight, entropy weight, behaviour log p, lowest and highest ratio that is not
        clipped, reference log p."""
        return self.per_token_7N.unbind()

    def at(self, index_C: torch.Tensor) -> TokenObjective:
        """Of some tokens."""
        return replace(self, per_token_7N=self.per_token_7N[:, index_C])

    def needed(self) -> torch.Tensor:
        """Bool [N]: tokens that can have a loss, whatever their log-probability."""
        advantage_N, weight_N, entropy_weight_N, *_ = self.unpacked()
        steers_N = (advantage_N != 0) | (entropy_weight_N != 0)
        return (weight_N != 0) & (steers_N | (self.kl_weight != 0))

    def terms(self, logp_N: torch.Tensor, entropy_N: torch.Tensor) -> Terms:
        """Loss and derivatives at the tokens' log-probabilities and entropies (nats)."""
        _, weight_N, entropy_weight_N, *_, reference_N = self.unpacked()
        surrogate_N, coefficient_N, clipped_N = self._surrogate(logp_N)
        away_N, away_is_free_N = _exponent(reference_N - logp_N)
        k3_N = (away_N.expm1() - away_N) * self.has_reference
        pull_N = torch.where(away_is_free_N, away_N.expm1(), 0.0)  # -d k3 / d logp
        return Terms(
            weight_N * (surrogate_N + self.kl_weight * k3_N - entropy_weight_N * entropy_N),
            weight_N * (coefficient_N + self.kl_weight * pull_N),
            weight_N * entropy_weight_N,
            k3_N,
            clipped_N,
        )

    def _surrogate(self, logp_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Its value, minus its derivative by log p, and where the correction bounds it."""
        advantage_N, _, _, behaviour_N, lowest_N, highest_N, _ = self.unpacked()
        correction = CORRECTIONS[self.correction]
        if correction == "none":
            return -advantage_N * logp_N, advantage_N, torch.zeros_like(logp_N, dtype=torch.bool)
        exponent_N, is_free_N = _exponent(logp_N - behaviour_N)
        ratio_N = exponent_N.exp()
        if correction == "truncate":
            coefficient_N = ratio_N.clamp_max(self.cap) * advantage_N
            return -coefficient_N * logp_N, coefficient_N, ratio_N > self.cap
        free_N, bounded_N = ratio_N * advantage_N, ratio_N.clamp(lowest_N, highest_N) * advantage_N
        floor_N = torch.where(advantage_N < 0, self.dual * advantage_N, -torch.inf)
        clipped_N = (free_N > bounded_N) | (free_N < floor_N) | ~is_free_N
        value_N = torch.minimum(free_N, bounded_N).maximum(floor_N)
        return -value_N, torch.where(clipped_N, 0.0, free_N), clipped_N


def _exponent(x_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Clamped, and where the clamp leaves a gradient: also where x is nan, which must be seen."""
    return x_N.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT), ~(x_N.abs() > LARGEST_EXPONENT)


@dataclass(frozen=True, slots=True)
class Objective:
    """What the tokens of a batch are trained for; the module has the formulas.

    Tensors are float32 [N]. A token of weight 0 has no loss, no gradient and is not computed, nor
    is one of advantage 0 without entropy bonus and KL term.
    """

    advantage_N: torch.Tensor
    weight_N: torch.Tensor  # of the token in the loss; 0 masks it
    entropy_weight: PerToken = 0.0
    behaviour_logp_N: torch.Tensor | None = None  # when sampled, nats; for clip and truncate
    correction: Literal["none", "clip", "truncate"] = "none"
    low: PerToken = 0.2  # of clip, in [0, 1]
    high: PerToken = 0.2  # of clip, at least 0
    dual: float | None = None  # of clip, above 1
    cap: float = 2.0  # of truncate, above 0
    reference_logp_N: torch.Tensor | None = None  # nats; without kl_weight, k3 is only reported
    kl_weight: float = 0.0

    def checked(self, targets_N: torch.Tensor) -> TokenObjective:
        """Raises ValueError, naming field and remedy, for what would give a wrong number: shapes,
        dtypes and devices other than the targets', bounds out of range, what a correction or the
        KL term lacks, and nan or inf anywhere but in log-probabilities of tokens not computed."""
        self._check_scalars()
        per_token = {
            "advantage": self.advantage_N,
            "token weight": self.weight_N,
            "entropy_weight": self.entropy_weight,
            "behaviour_logp": 0.0 if self.behaviour_logp_N is None else self.behaviour_logp_N,
            "low": self.low,
            "high": self.high,
            "reference_logp": 0.0 if self.reference_logp_N is None else self.reference_logp_N,
        }
        rows = [_expanded(name, value, targets_N) for name, value in per_token.items()]
        low_N, high_N = rows[4:6]
        rows[4:6] = 1 - low_N, 1 + high_N
        checked = TokenObjective(
            torch.stack(rows),
            CORRECTIONS.index(self.correction),
            torch.inf if self.dual is None else self.dual,
            self.cap,
            self.kl_weight,
            self.reference_logp_N is not None,
        )
        not_computed_N = ~checked.needed()
        conditions = {}
        for name, finite_N in zip(per_token, checked.per_token_7N.isfinite(), strict=True):
            origin = "advantages" if name == "advantage" else name
            message = f"{name} holds nan or inf: check the {origin}"
            conditions[message] = finite_N | not_computed_N if name.endswith("_logp") else finite_N
        require_everywhere(conditions | _bounds(low_N, high_N))
        return checked

    def _check_scalars(self) -> None:
        require(
            self.correction in CORRECTIONS,
            f"correction must be one of {', '.join(CORRECTIONS)}, not {self.correction}",
        )
        require(
            self.correction == "none" or self.behaviour_logp_N is not None,
            f"correction {self.correction} compares with behaviour_logp: pass the log-probs of "
            "sampling time",
        )
        require(
            self.dual is None or (self.correction == "clip" and 1 < self.dual < torch.inf),
            f"dual must be above 1 and finite, with correction clip, or None, not {self.dual}",
        )
        require(0 < self.cap < torch.inf, f"cap must be positive and finite, not {self.cap}")
        require(abs(self.kl_weight) < torch.inf, f"kl_weight must be finite, not {self.kl_weight}")
        require(
            self.kl_weight == 0 or self.reference_logp_N is not None,
            "kl_weight needs reference_logp: pass the reference's log-probs",
        )


def _expanded(name: str, value: PerToken, targets_N: torch.Tensor) -> torch.Tensor:
    """Float32 [N] on the targets' device."""
    if not isinstance(value, torch.Tensor):
        return torch.full_like(targets_N, value, dtype=torch.float32)
    require_per_token(name, value, targets_N)
    return value


def _bounds(low_N: torch.Tensor, high_N: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "low must lie in [0, 1]: clip keeps ratios from 1 - low": (low_N >= 0) & (low_N <= 1),
        "high must not be negative: clip keeps ratios to 1 + high": high_N >= 0,
    }
