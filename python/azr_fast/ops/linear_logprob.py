"""Log-probability and entropy of targets from hidden states, without the [N, V] logits.

The forward pass is one product per chunk of tokens and a pass over its logits; on a GPU, of a
bfloat16 head, one kernel that writes no logits. The backward pass
computes each chunk's logits again and is then the one pass of `linear_policy_loss`, with the
incoming gradients as coefficients: four products in all. Precision: see there.

Suffixes: N tokens, H hidden width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from azr_fast.ops.batch import Batch
from azr_fast.ops.head import Head, checked_head
from azr_fast.ops.linear_policy_loss import one_pass
from azr_fast.ops.objective import TokenObjective


class TokenLogprobs(NamedTuple):
    """Per token; 0, and no gradient, where the target is ignored."""

    logp_N: torch.Tensor  # float32, nats
    entropy_N: torch.Tensor  # float32, nats


def linear_logprob(
    hidden_NH: torch.Tensor,
    weight_VH: torch.Tensor,
    targets_N: torch.Tensor,
    *,
    temperature: float | torch.Tensor = 1.0,
    implementation: str = "auto",
    chunk: int | None = None,
) -> TokenLogprobs:
    """Log p of each token's target and entropy of its distribution, differentiable once.

    Arguments, shapes and errors are those of `linear_policy_loss`. Gradients go to hidden states
    and weight, each where it requires them; d weight is summed in float32 and returned in weight's
    dtype.

    >>> import torch
    >>> from azr_fast.ops import linear_logprob
    >>> hidden = torch.zeros(2, 3, 8, requires_grad=True)  # [B, T, H]
    >>> weight, targets = torch.ones(4, 8), torch.tensor([[0, 1, 2], [3, 0, -100]])
    >>> logp, entropy = linear_logprob(hidden, weight, targets)
    >>> logp  # four words, all alike; the last target is ignored
    tensor([[-1.3863, -1.3863, -1.3863],
            [-1.3863, -1.3863,  0.0000]], grad_fn=...)
    >>> logp.sum().backward()
    """
    if hidden_NH.ndim > 2:
        batch = Batch(hidden_NH, targets_N)
        results = linear_logprob(
            hidden_NH.flatten(0, -2),
            weight_VH,
            targets_N.flatten(),
            temperature=batch.flat(temperature, "temperature"),
            implementation=implementation,
            chunk=chunk,
        )
        return TokenLogprobs(*map(batch.back, results))
    head = checked_head(hidden_NH, weight_VH, targets_N, temperature, implementation, chunk)
    results = _LinearLogprob.apply(hidden_NH, weight_VH, head)  # type: ignore[no-untyped-call]
    return TokenLogprobs(*results)


class _LinearLogprob(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_NH: torch.Tensor, weight_VH: torch.Tensor, head: Head
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(hidden_NH, weight_VH)
        ctx.head = head
        logp_N, entropy_N = torch.zeros_like(head.scale_N), torch.zeros_like(head.scale_N)
        for index_C, statistics in head.statistics():
            logp_N[index_C], entropy_N[index_C] = statistics.logp(), statistics.entropy()
        return logp_N, entropy_N

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_logp_N: torch.Tensor, d_entropy_N: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        # Through saved_tensors autograd refuses a weight that an optimizer has changed meanwhile.
        hidden_NH, weight_VH = ctx.saved_tensors
        head = replace(ctx.head, hidden_NH=hidden_NH, weight_VH=weight_VH)
        d_weight_VH = None
        if ctx.needs_input_grad[1]:
            d_weight_VH = torch.zeros_like(weight_VH, dtype=torch.float32)
        result = one_pass(head, TokenObjective.plain(-d_logp_N, -d_entropy_N), d_weight_VH)
        if d_weight_VH is not None:
            d_weight_VH = d_weight_VH.to(weight_VH.dtype)
        return result.d_hidden_NH, d_weight_VH, None
