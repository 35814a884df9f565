"""Objectives of random tokens, and their loss in fp64 with torch's own operations."""

import pytest
import torch

from azr_fast.ops.objective import Objective

KINDS = (
    "plain",
    "entropy",
    "entropy per token",
    "clip",
    "clip, bounds per token",
    "dual clip",
    "truncate",
    "k3",
    "clip with all",
    "truncate with all",
)
kinds = pytest.mark.parametrize("kind", KINDS)


def make_objective(kind, seed, logp_N):
    """For tokens of these log-probs, with every third masked. Ratios keep off the bounds, where
    fp32 may decide otherwise than fp64."""
    generator = torch.Generator().manual_seed(seed)
    count = logp_N.numel()

    def uniform(low, high):
        return torch.empty(count).uniform_(low, high, generator=generator)

    def near_logp():
        return (logp_N + torch.randn(count, generator=generator)).float()

    clip = {"correction": "clip", "behaviour_logp_N": near_logp()}
    truncate = clip | {"correction": "truncate", "cap": 1.5}
    k3 = {"reference_logp_N": near_logp(), "kl_weight": 0.3}
    entropy = {"entropy_weight": uniform(-0.2, 0.2)}
    dual = {"low": 0.3, "high": 0.1, "dual": 1.3}
    options = {
        "plain": {},
        "entropy": {"entropy_weight": 0.1},
        "entropy per token": entropy,
        "clip": clip,
        "clip, bounds per token": clip | {"low": uniform(0.1, 1), "high": uniform(0.1, 1)},
        "dual clip": clip | dual,
        "truncate": truncate,
        "k3": k3,
        "clip with all": clip | dual | k3 | entropy,
        "truncate with all": truncate | k3 | entropy,
    }[kind]
    weight_N = uniform(0.5, 1.5)
    weight_N[2::3] = 0
    advantage_N = torch.randn(count, generator=generator)
    return off_the_bounds(Objective(advantage_N, weight_N, **options), logp_N)


def off_the_bounds(objective, logp_N):
    behaviour_N = objective.behaviour_logp_N
    if behaviour_N is not None:
        ratio_N = (logp_N - behaviour_N).exp()
        for bound in (1 - objective.low, 1 + objective.high, objective.dual or 1e9, objective.cap):
            close = (ratio_N - bound).abs() < 1e-3
            behaviour_N[close] = logp_N[close].float()
    return objective


def plain_loss(objective, logp_N, entropy_N):
    """Of each token, for autograd; and where it is clipped, and k3."""

    def double(value):
        return value.double() if isinstance(value, torch.Tensor) else value

    advantage_N, weight_N = double(objective.advantage_N), double(objective.weight_N)
    clipped_N, k3_N = torch.zeros_like(weight_N, dtype=torch.bool), torch.zeros_like(weight_N)
    gain_N = advantage_N * logp_N
    if objective.correction != "none":
        away_N = logp_N - double(objective.behaviour_logp_N)
        ratio_N = away_N.clamp(-20, 20).exp()
    if objective.correction == "truncate":
        gain_N = ratio_N.clamp(max=objective.cap).detach() * advantage_N * logp_N
        clipped_N = ratio_N > objective.cap
    if objective.correction == "clip":
        low, high = 1 - double(objective.low), 1 + double(objective.high)
        ahead_N = (advantage_N > 0) & (ratio_N > high)
        behind_N = (advantage_N < 0) & (ratio_N < low)
        far_N = (advantage_N < 0) & (ratio_N > (objective.dual or torch.inf))
        gain_N = advantage_N * torch.where(ahead_N, high, torch.where(behind_N, low, ratio_N))
        gain_N = torch.where(far_N, advantage_N * (objective.dual or 0.0), gain_N)
        clipped_N = ahead_N | behind_N | far_N | (away_N.abs() > 20)
    if objective.reference_logp_N is not None:
        away_N = (double(objective.reference_logp_N) - logp_N).clamp(-20, 20)
        k3_N = away_N.exp() - away_N - 1
    bonus_N = double(objective.entropy_weight) * entropy_N
    loss_N = weight_N * (-gain_N + objective.kl_weight * k3_N - bonus_N)
    return loss_N, clipped_N, k3_N.detach()
