"""The policy loss from hidden states as a module of torch, whose backward pass is already done.

`linear_policy_loss` computes loss and gradients in one pass; this keeps the gradients from the
forward pass until autograd asks for them. Held between the two: d hidden, and d weight in float32
where the weight requires a gradient.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from azr_fast.ops.batch import Batch
from azr_fast.ops.checks import require
from azr_fast.ops.head import IGNORED, Head, checked_head
from azr_fast.ops.linear_policy_loss import one_pass
from azr_fast.ops.objective import Objective, TokenObjective


class TrainingLoss(NamedTuple):
    """What `LinearPolicyLoss` gives. Only `loss` has a gradient; the others are per token, with the
    targets' sizes: nan, or 0, where a token has no loss."""

    loss: torch.Tensor  # a number
    logp: torch.Tensor  # float32, nats
    entropy: torch.Tensor  # float32, nats
    clipped: torch.Tensor  # bool: the correction bounds the token's weight
    k3: torch.Tensor  # float32, nats; 0 without reference


class LinearPolicyLoss(torch.nn.Module):
    """The policy loss of tokens, averaged over a mask, from hidden states and the head's weight.

    Its terms are those of `objective.Objective`: REINFORCE (`correction="none"`), PPO's clip, which
    keeps ratios within 1 - `low` and 1 + `high`, or truncated importance weights, at most `cap`; an
    entropy bonus and a k3 term towards a reference. Logits [.., V] are never there as a whole.

    >>> import torch
    >>> from azr_fast.ops import LinearPolicyLoss
    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch...>
    >>> head = torch.nn.Linear(16, 100, bias=False)  # hidden width 16, vocabulary 100
    >>> hidden = torch.randn(2, 5, 16, requires_grad=True)  # [B, T, H]
    >>> targets = torch.randint(100, (2, 5))  # the tokens that were sampled
    >>> advantages = torch.tensor([1.0, -1.0])  # one per answer, or one per token
    >>> criterion = LinearPolicyLoss(entropy_weight=0.01)
    >>> out = criterion(hidden, head.weight, targets, advantages)
    >>> out.loss.backward()
    >>> out.logp.shape, hidden.grad.shape, head.weight.grad.shape
    (torch.Size([2, 5]), torch.Size([2, 5, 16]), torch.Size([100, 16]))
    """

    def __init__(
        self,
        correction: Literal["none", "clip", "truncate"] = "none",
        *,
        low: float = 0.2,
        high: float = 0.2,
        dual: float | None = None,
        cap: float = 2.0,
        entropy_weight: float = 0.0,
        kl_weight: float = 0.0,
        temperature: float = 1.0,
        implementation: str = "auto",
    ) -> None:
        super().__init__()
        self._terms: dict[str, Any] = {
            "correction": correction,
            "low": low,
            "high": high,
            "dual": dual,
            "cap": cap,
            "entropy_weight": entropy_weight,
            "kl_weight": kl_weight,
        }
        self._temperature = temperature
        self._implementation = implementation

    def forward(
        self,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        advantages: torch.Tensor,
        mask: torch.Tensor | None = None,
        behaviour_logp: torch.Tensor | None = None,
        reference_logp: torch.Tensor | None = None,
    ) -> TrainingLoss:
        """The mean loss of the tokens that `mask` keeps.

        `hidden` is [..., H] and `weight` [V, H], both bfloat16 or both float32; `targets` has the
        leading sizes of `hidden`, and IGNORED (-100) where there is none. `advantages` are per
        token, or per answer: one size less. `mask`, bool or float, weighs tokens; without it all
        with a target count. Log-probabilities, in nats, are of the time of sampling and of a
        reference. Raises ValueError for what would give a wrong number, as `linear_policy_loss`.
        """
        batch = Batch(hidden, targets)
        objective = Objective(
            _per_token(advantages, targets).float(),
            _shares(targets, mask),
            behaviour_logp_N=_optional(batch, behaviour_logp, "behaviour_logp"),
            reference_logp_N=_optional(batch, reference_logp, "reference_logp"),
            **self._terms,
        )
        hidden_NH = hidden.reshape(-1, hidden.shape[-1])
        head = checked_head(
            hidden_NH,
            weight,
            targets.reshape(-1),
            self._temperature,
            self._implementation,
            None,
        )
        checked = objective.checked(head.targets_N)
        loss, *others_N = _Kept.apply(hidden_NH, weight, head, checked)  # type: ignore[no-untyped-call]
        return TrainingLoss(loss, *map(batch.back, others_N))


def _per_token(advantages: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """[N] from one per token, or from one per answer."""
    if advantages.shape == targets.shape[:-1]:
        advantages = advantages.unsqueeze(-1).expand(targets.shape)
    require(advantages.shape == targets.shape, "one advantage per target or per answer is needed")
    return advantages.detach().reshape(-1)


def _shares(targets: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Float32 [N]: what each token counts in the mean. All are 0 where nothing is kept."""
    kept = targets != IGNORED
    if mask is not None:
        require(mask.shape == targets.shape, "one mask element per target is needed")
        kept = kept * mask
    weights_N = kept.reshape(-1).float()
    return weights_N / weights_N.sum().clamp_min(torch.finfo(torch.float32).tiny)


def _optional(batch: Batch, logp: torch.Tensor | None, name: str) -> torch.Tensor | None:
    return None if logp is None else batch.flat(logp.detach(), name).float()


class _Kept(torch.autograd.Function):
    """The one pass, whose gradients are kept for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: torch.Tensor,
        weight_VH: torch.Tensor,
        head: Head,
        objective: TokenObjective,
    ) -> tuple[torch.Tensor, ...]:
        d_weight_VH = None
        if ctx.needs_input_grad[1]:
            d_weight_VH = torch.zeros_like(weight_VH, dtype=torch.float32)
        result = one_pass(head, objective, d_weight_VH)
        ctx.save_for_backward(result.d_hidden_NH, d_weight_VH)
        ctx.dtype = weight_VH.dtype
        others = result.logp_N, result.entropy_N, result.clipped_N, result.k3_N
        ctx.mark_non_differentiable(*others)
        return result.loss_N.sum(), *others

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_loss: torch.Tensor, *_others: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, None, None]:
        d_hidden_NH, d_weight_VH = ctx.saved_tensors
        d_weight = None if d_weight_VH is None else (d_weight_VH * d_loss).to(ctx.dtype)
        return (d_hidden_NH * d_loss).to(d_hidden_NH.dtype), d_weight, None, None
