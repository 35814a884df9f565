"""Advantages of the tokens of packed sequences, from one reward per sequence.

An estimator is an arithmetic within groups; which sequences form a group is the caller's key:

  trr++, grpo   (reward - mean) / std; keys are task and role, or the prompt
  global        the same over the whole batch
  dr_grpo       reward - mean, not scaled (arXiv 2503.20783)
  rloo          reward - mean of the other members (arXiv 2402.14740)

Mean and population std weigh each sequence alike or, token-weighted, by its tokens. Statistics are
fp64 in two passes. Groups of one, groups without variance and groups without tokens give 0.

Suffixes: S sequences, N tokens of all sequences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass
from typing import cast

import torch

from azr_fast.ops.checks import IDS, require, require_device, require_dtype
from azr_fast.ops.dispatch import choose, on_device_of, triton_kernel

Launch = Callable[..., None]  # rewards, groups, lengths, advantages to write, Arithmetic's fields
LARGEST = 1e150  # rewards whose squares fp64 can hold


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What an estimator does within a group."""

    one_group: bool = False
    token_weighted: bool = False
    leave_one_out: bool = False
    scaled: bool = False


ESTIMATORS = {
    "trr++": Arithmetic(scaled=True),
    "grpo": Arithmetic(scaled=True),
    "global": Arithmetic(scaled=True, one_group=True),
    "dr_grpo": Arithmetic(),
    "rloo": Arithmetic(leave_one_out=True),
}


@torch.no_grad()
def group_advantage(
    rewards_S: torch.Tensor,
    groups_S: torch.Tensor,
    lengths_S: torch.Tensor,
    *,
    estimator: str,
    token_weighted: bool = False,
    implementation: str = "auto",
) -> torch.Tensor:
    """The advantage of each token, float32 [N], sequences one after the other.

    Rewards are float32 or float64, group keys any int32 or int64 (`global` does not look at them),
    lengths int32 or int64. `implementation`: auto | triton | cpu | torch, see `dispatch.choose`.
    Raises ValueError for wrong shapes, dtypes or devices, unknown estimators, negative lengths and
    rewards that are not finite.
    """
    _check(rewards_S, groups_S, lengths_S)
    arithmetic = _arithmetic(estimator, token_weighted)
    launch = _launches(choose(implementation, rewards_S.device))
    tokens = int(lengths_S.sum().item())
    advantage_N = torch.empty(tokens, dtype=torch.float32, device=rewards_S.device)
    if not tokens:
        return advantage_N
    inputs = rewards_S.contiguous(), groups_S.contiguous(), lengths_S.contiguous()
    with on_device_of(rewards_S):
        launch(*inputs, advantage_N, **asdict(arithmetic))
    return advantage_N


def _launches(implementation: str) -> Launch:
    if implementation == "triton":
        return cast(Launch, triton_kernel("group_advantage").launch)
    return cpu_launch if implementation == "cpu" else torch_launch


def cpu_launch(
    rewards_S: torch.Tensor,
    groups_S: torch.Tensor,
    lengths_S: torch.Tensor,
    advantage_N: torch.Tensor,
    **arithmetic: bool,
) -> None:
    """The C++ kernel."""
    from azr_fast import _kernels

    ids = groups_S.long(), lengths_S.long()
    options = astuple(Arithmetic(**arithmetic))
    _kernels.group_advantage(rewards_S.double(), *ids, advantage_N, *options)


def torch_launch(
    rewards_S: torch.Tensor,
    groups_S: torch.Tensor,
    lengths_S: torch.Tensor,
    advantage_N: torch.Tensor,
    **options: bool,
) -> None:
    """The formulas: the oracle. A group is an index into tensors of per-group sums."""
    arithmetic = Arithmetic(**options)
    keys = torch.zeros_like(groups_S) if arithmetic.one_group else groups_S
    group_S = torch.unique(keys, return_inverse=True)[1]
    # Relative to the group's lowest: equal rewards and groups of one are exactly 0, large rewards
    # lose nothing.
    reward = rewards_S.double()
    lowest = torch.zeros_like(reward).scatter_reduce_(
        0, group_S, reward, "amin", include_self=False
    )
    base, ones = lowest[group_S], torch.ones_like(reward)
    delta = reward - base
    weight = lengths_S.double() if arithmetic.token_weighted else ones

    def group_sum(value: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(reward).index_add_(0, group_S, value)[group_S]

    if arithmetic.leave_one_out:
        advantage = delta - (group_sum(delta) - delta) / (group_sum(ones) - 1).clamp_min(1)
    else:
        total = group_sum(weight)
        mean = group_sum(weight * delta) / total.clamp_min(1)
        advantage = delta - mean
        if arithmetic.scaled:
            deviation = (group_sum(weight * advantage**2) / total.clamp_min(1)).sqrt()
            spread = deviation > 1e-12 * (base + mean).abs().clamp_min(1)
            advantage = torch.where(spread, advantage / deviation, 0.0)
    advantage_N.copy_(advantage.repeat_interleave(lengths_S.long()))


def _arithmetic(estimator: str, token_weighted: bool) -> Arithmetic:
    require(
        estimator in ESTIMATORS,
        f"estimator must be one of {', '.join(ESTIMATORS)}, not {estimator}",
    )
    plain = ESTIMATORS[estimator]
    require(not (plain.leave_one_out and token_weighted), "rloo weighs no sequence by its tokens")
    return Arithmetic(**(asdict(plain) | {"token_weighted": token_weighted}))


def _check(rewards_S: torch.Tensor, groups_S: torch.Tensor, lengths_S: torch.Tensor) -> None:
    require(rewards_S.ndim == 1, "rewards must have one dimension")
    require(groups_S.shape == rewards_S.shape, "one group key per reward is needed")
    require(lengths_S.shape == rewards_S.shape, "one length per reward is needed")
    require_dtype("rewards", rewards_S, (torch.float32, torch.float64))
    require_dtype("groups", groups_S, IDS)
    require_dtype("lengths", lengths_S, IDS)
    require_device(rewards_S.device, groups=groups_S, lengths=lengths_S)
    require(bool((lengths_S >= 0).all()), "lengths must not be negative")
    require(
        bool((rewards_S.abs() < LARGEST).all()),  # nan is not smaller either
        f"rewards hold nan, inf or numbers beyond {LARGEST:g}: check the rewards",
    )
