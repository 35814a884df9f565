"""The language model's head, the policy loss and its gradient in one pass.

On-policy, d loss / d log p of every token is known before the head runs. So each chunk of tokens
goes through logits = hidden · weightᵀ, row statistics, logits → d logits in place, d hidden =
d logits · weight and d weight += d logitsᵀ · hidden: three products where an autograd head that
does not keep its [T, V] logits needs four. Memory beyond arguments and results: one chunk of logits
and one block of d weight.

Numerics. Statistics are fp32 and `d weight` is summed in fp32 whatever the inputs' dtype. With fp32
inputs log-probabilities and gradients are good to 2e-5. With bf16 inputs on a CPU the products come
from oneDNN, which rounds logits, d logits and each chunk's d weight to bf16 (torch has no bf16
product with fp32 output there): log-probabilities are good to 3e-2 and gradients to 1e-2. All
are relative Frobenius errors over some hundred tokens at logits of standard deviation 3 (tests/ops
hold them).

Suffixes: N tokens, H hidden width, V vocabulary, C tokens of a chunk, B words of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from azr_fast.ops.checks import require, require_device, require_dtype
from azr_fast.ops.head import CHUNK, Head, check_per_token, checked_head

BLOCK = 16384  # words whose d weight is computed at a time


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """Results per token. Tokens of no weight at all and ignored targets are not computed: nan, and
    no gradient."""

    logp_N: torch.Tensor  # float32, nats
    entropy_N: torch.Tensor  # float32, nats
    d_hidden_NH: torch.Tensor  # the hidden states' dtype


@torch.no_grad()
def linear_policy_loss(
    hidden_NH: torch.Tensor,
    weight_VH: torch.Tensor,
    targets_N: torch.Tensor,
    coefficient_N: torch.Tensor,
    entropy_weight_N: torch.Tensor,
    d_weight_VH: torch.Tensor,
    *,
    temperature: float | torch.Tensor = 1.0,
    implementation: str = "auto",
    chunk: int = CHUNK,
) -> PolicyLoss:
    """The loss -sum(coefficient * log p(target) + entropy_weight * entropy) and its gradient.

    The distribution is softmax(hidden · weightᵀ / temperature), with one temperature or one per
    token. `hidden_NH` and `weight_VH` are both bfloat16 or both float32, `targets_N` int32 or int64
    (`IGNORED` where there is none), coefficients float32. d loss / d weight is *added* to
    `d_weight_VH` (float32). `implementation`: auto | cpu | torch, see `choose_rows`.
    Raises ValueError for wrong shapes, dtypes or devices, targets outside the vocabulary,
    temperatures that are not positive and coefficients that are not finite.
    """
    head = checked_head(hidden_NH, weight_VH, targets_N, temperature, implementation, chunk)
    for name, tensor in (("coefficient", coefficient_N), ("entropy_weight", entropy_weight_N)):
        check_per_token(name, tensor, head.targets_N)
        require(bool(tensor.isfinite().all()), f"{name} holds nan or inf: check the advantages")
    require_dtype("d_weight", d_weight_VH, (torch.float32,))
    require(d_weight_VH.shape == weight_VH.shape, "d_weight must have the shape of weight")
    require_device(weight_VH.device, d_weight=d_weight_VH)
    return one_pass(head, coefficient_N, entropy_weight_N, d_weight_VH)


def one_pass(
    head: Head,
    coefficient_N: torch.Tensor,
    entropy_weight_N: torch.Tensor,
    d_weight_VH: torch.Tensor | None,
) -> PolicyLoss:
    """`linear_policy_loss` on checked arguments; without d weight, one product less."""
    logp_N, entropy_N = (torch.full_like(head.scale_N, torch.nan) for _ in range(2))
    d_hidden_NH = torch.zeros_like(head.hidden_NH)
    for chunk in head.chunks((coefficient_N != 0) | (entropy_weight_N != 0)):
        index_C = chunk.index_C
        logp_C, entropy_C = logp_N[index_C], entropy_N[index_C]
        head.rows.policy_loss(
            chunk.logits_CV,
            head.targets_N[index_C],
            coefficient_N[index_C],
            entropy_weight_N[index_C],
            head.scale_N[index_C],
            logp_C,
            entropy_C,
        )
        logp_N[index_C], entropy_N[index_C] = logp_C, entropy_C
        d_logits_CV = chunk.logits_CV  # in the same place
        d_hidden_NH[index_C] = d_logits_CV @ head.weight_VH
        if d_weight_VH is not None:
            _add_product(d_weight_VH, d_logits_CV, chunk.hidden_CH)
    return PolicyLoss(logp_N, entropy_N, d_hidden_NH)


def _add_product(
    d_weight_VH: torch.Tensor, d_logits_CV: torch.Tensor, hidden_CH: torch.Tensor
) -> None:
    """d weight += d logitsᵀ · hidden, by blocks of words: as fast, and no second [V, H]."""
    product_BH = hidden_CH.new_empty(min(BLOCK, d_weight_VH.shape[0]), hidden_CH.shape[1])
    for begin in range(0, d_weight_VH.shape[0], BLOCK):
        d_logits_BC = d_logits_CV[:, begin : begin + BLOCK].T
        product = torch.mm(d_logits_BC, hidden_CH, out=product_BH[: d_logits_BC.shape[0]])
        d_weight_VH[begin : begin + BLOCK] += product
