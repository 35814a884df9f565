"""The language model's head, the policy loss and its gradient in one pass.

On-policy, d loss / d log p of every token is known before the head runs. So each chunk of tokens
goes through logits = hidden · weightᵀ, row statistics, logits → d logits in place, d hidden =
d logits · weight and d weight += d logitsᵀ · hidden: three products where an autograd head that
does not keep its [T, V] logits needs four, and never more than one chunk of logits in memory.

Numerics. Statistics are fp32 and `d weight` is summed in fp32 whatever the inputs' dtype. With fp32
inputs log-probabilities and gradients are good to 2e-5. With bf16 inputs on a CPU the products come
from oneDNN, which rounds logits, d logits and each chunk's d weight to bf16 (torch has no bf16
product with fp32 output there): log-probabilities are good to 3e-2 and gradients to 1e-2. All
are relative Frobenius errors at logits of standard deviation 3 (tests/ops hold them).

Suffixes: N tokens, H hidden width, V vocabulary, C tokens of a chunk, K tokens kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from azr_fast.ops.rows import choose_rows

CHUNK = 1024  # tokens: large enough for the products' full speed


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """Results per token. Tokens with no weight at all are not computed: nan, and no gradient."""

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
    temperature: float = 1.0,
    implementation: str = "auto",
    chunk: int = CHUNK,
) -> PolicyLoss:
    """The loss -sum(coefficient * log p(target) + entropy_weight * entropy) and its gradient.

    The distribution is softmax(hidden · weightᵀ / temperature). `hidden_NH` and `weight_VH` are
    both bfloat16 or both float32, `targets_N` int64, coefficients float32. d loss / d weight is
    *added* to `d_weight_VH` (float32). `implementation`: auto | cpu | torch, see `choose_rows`.
    Raises ValueError for wrong shapes or dtypes, targets outside the vocabulary and coefficients
    that are not finite.
    """
    _check(hidden_NH, weight_VH, targets_N)
    _check_coefficients(coefficient_N, entropy_weight_N, targets_N)
    _require(d_weight_VH.dtype == torch.float32, "d_weight must be float32")
    _require(d_weight_VH.shape == weight_VH.shape, "d_weight must have the shape of weight")
    rows = choose_rows(implementation, hidden_NH.device)
    kept_K = ((coefficient_N != 0) | (entropy_weight_N != 0)).nonzero()[:, 0]
    logp_K, entropy_K = (torch.empty(kept_K.numel(), device=kept_K.device) for _ in range(2))
    d_hidden_NH = torch.zeros_like(hidden_NH)
    product_VH = torch.empty_like(weight_VH)
    for part, logits_CV, hidden_CH in _logit_chunks(hidden_NH, weight_VH, kept_K, chunk):
        index = kept_K[part]
        rows.policy_loss(
            logits_CV,
            targets_N[index],
            coefficient_N[index],
            entropy_weight_N[index],
            1.0 / temperature,
            logp_K[part],
            entropy_K[part],
        )
        d_hidden_NH[index] = logits_CV @ weight_VH
        d_weight_VH += torch.mm(logits_CV.T, hidden_CH, out=product_VH)
    return PolicyLoss(
        torch.full_like(coefficient_N, torch.nan).index_copy_(0, kept_K, logp_K),
        torch.full_like(coefficient_N, torch.nan).index_copy_(0, kept_K, entropy_K),
        d_hidden_NH,
    )


@torch.no_grad()
def linear_logprob(
    hidden_NH: torch.Tensor,
    weight_VH: torch.Tensor,
    targets_N: torch.Tensor,
    *,
    temperature: float = 1.0,
    implementation: str = "auto",
    chunk: int = CHUNK,
) -> torch.Tensor:
    """Log p of each token's target, float32 [N]: the forward half of `linear_policy_loss`."""
    _check(hidden_NH, weight_VH, targets_N)
    rows = choose_rows(implementation, hidden_NH.device)
    logp_N = torch.empty(targets_N.shape, dtype=torch.float32, device=hidden_NH.device)
    every_N = torch.arange(targets_N.numel(), device=hidden_NH.device)
    for part, logits_CV, _ in _logit_chunks(hidden_NH, weight_VH, every_N, chunk):
        rows.logprob(logits_CV, targets_N[part], 1.0 / temperature, logp_N[part])
    return logp_N


def _logit_chunks(
    hidden_NH: torch.Tensor, weight_VH: torch.Tensor, kept_K: torch.Tensor, chunk: int
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Slices of the kept tokens with their logits (one buffer, reused) and hidden states."""
    count, vocabulary = kept_K.numel(), weight_VH.shape[0]
    buffer_CV = hidden_NH.new_empty(min(chunk, count), vocabulary)
    for begin in range(0, count, chunk):
        part = slice(begin, min(begin + chunk, count))
        hidden_CH = hidden_NH[kept_K[part]]
        logits_CV = buffer_CV[: hidden_CH.shape[0]]
        torch.mm(hidden_CH, weight_VH.T, out=logits_CV)
        yield part, logits_CV, hidden_CH


def _check(hidden_NH: torch.Tensor, weight_VH: torch.Tensor, targets_N: torch.Tensor) -> None:
    _require(hidden_NH.ndim == weight_VH.ndim == 2, "hidden and weight must have two dimensions")
    _require(hidden_NH.shape[1] == weight_VH.shape[1], "hidden and weight differ in width")
    _require(hidden_NH.dtype == weight_VH.dtype, "hidden and weight differ in dtype")
    _require(
        hidden_NH.dtype in (torch.bfloat16, torch.float32),
        f"hidden must be bfloat16 or float32, not {hidden_NH.dtype}",
    )
    _require(targets_N.dtype == torch.int64, f"targets must be int64, not {targets_N.dtype}")
    _require(targets_N.shape == hidden_NH.shape[:1], "one target per hidden state is needed")
    if targets_N.numel():
        low, high = torch.aminmax(targets_N)
        _require(
            low.item() >= 0 and high.item() < weight_VH.shape[0],
            f"targets must lie in [0, {weight_VH.shape[0]}), not {low.item()} … {high.item()}",
        )


def _check_coefficients(
    coefficient_N: torch.Tensor, entropy_weight_N: torch.Tensor, targets_N: torch.Tensor
) -> None:
    for name, tensor in (("coefficient", coefficient_N), ("entropy_weight", entropy_weight_N)):
        _require(tensor.dtype == torch.float32, f"{name} must be float32, not {tensor.dtype}")
        _require(tensor.shape == targets_N.shape, f"one {name} per target is needed")
        _require(bool(tensor.isfinite().all()), f"{name} holds nan or inf: check the advantages")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
