"""The language model's head, the policy loss and its gradient in one pass.

The loss of a token depends on no other token. So each chunk of tokens goes through logits =
hidden · weightᵀ, row statistics, each token's loss (`objective`), logits → d logits in place,
d hidden = d logits · weight and d weight += d logitsᵀ · hidden: three products where an autograd
head that does not keep its [T, V] logits needs four. Tokens whose loss is 0 whatever their
log-probability take part in none, those whose gradient turns out 0 (clipped) in the first alone.
Memory beyond arguments and results: one chunk of logits and one block of d weight.

Numerics. Statistics are fp32 and `d weight` is summed in fp32 whatever the inputs' dtype. Errors,
relative Frobenius over some hundred tokens at logits of standard deviation 3 (tests/ops hold them):

    inputs, products                             log p   entropy   gradients
    fp32                                          2e-5      1e-4        1e-5
    bf16, a GPU's, or ours with AVX-512-BF16      2e-5      1e-4        3e-3
    bf16, torch's on a CPU                        3e-2      3e-2        1e-2

torch's bf16 products on a CPU (oneDNN) round logits, d logits and each chunk's d weight to bf16;
the others keep logits in fp32 and round only d logits, for the two products that read them.

Suffixes: N tokens, H hidden width, V vocabulary, C tokens of a chunk, B words of a block.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch

from azr_fast.ops.batch import Batch
from azr_fast.ops.checks import require, require_device, require_dtype
from azr_fast.ops.head import Chunk, Head, checked_head
from azr_fast.ops.objective import CORRECTIONS, Objective, TokenObjective, TokenResults
from azr_fast.ops.products import over


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """Results per token. Tokens that cannot have a loss and ignored targets are not computed: nan
    as log-probability and entropy, elsewhere 0."""

    logp_N: torch.Tensor  # float32, nats
    entropy_N: torch.Tensor  # float32, nats
    loss_N: torch.Tensor  # float32; their sum is the loss
    clipped_N: torch.Tensor  # bool: the correction bounds the token's weight
    k3_N: torch.Tensor  # float32, nats; 0 without reference
    d_hidden_NH: torch.Tensor  # the hidden states' dtype


@torch.no_grad()
def linear_policy_loss(
    hidden_NH: torch.Tensor,
    weight_VH: torch.Tensor,
    targets_N: torch.Tensor,
    objective: Objective,
    d_weight_VH: torch.Tensor | None,
    *,
    temperature: float | torch.Tensor = 1.0,
    implementation: str = "auto",
    chunk: int | None = None,
) -> PolicyLoss:
    """The objective's loss over all tokens and its gradient.

    The distribution is softmax(hidden · weightᵀ / temperature), with one temperature or one per
    token. `hidden_NH` and `weight_VH` are both bfloat16 or both float32, `targets_N` int32 or int64
    (`IGNORED` where there is none). In place of N there may be any leading sizes, such as [B, T],
    of all tensors that are per token; results then have them too. d loss / d weight is *added* to
    `d_weight_VH` (float32); None, where the head does not learn, saves a product.
    `implementation`: auto | triton | cpu | torch, see `dispatch.choose`. Raises ValueError for
    wrong shapes, dtypes or devices, targets outside the vocabulary, temperatures that are not
    positive, and what `Objective.checked` refuses.

    >>> import torch
    >>> from azr_fast.ops import Objective, linear_policy_loss
    >>> hidden, weight, d_weight = torch.zeros(2, 3, 8), torch.ones(4, 8), torch.zeros(4, 8)
    >>> targets = torch.tensor([[0, 1, 2], [3, 0, -100]])  # [B, T]; the last is ignored
    >>> objective = Objective(torch.ones(2, 3), torch.full((2, 3), 1 / 5), entropy_weight=0.01)
    >>> result = linear_policy_loss(hidden, weight, targets, objective, d_weight)
    >>> round(result.loss_N.sum().item(), 4)  # log 4 less 1% of it for the entropy
    1.3724
    """
    options = {"temperature": temperature, "implementation": implementation, "chunk": chunk}
    if hidden_NH.ndim > 2:
        return _of_batch(hidden_NH, weight_VH, targets_N, objective, d_weight_VH, options)
    head = checked_head(hidden_NH, weight_VH, targets_N, temperature, implementation, chunk)
    if d_weight_VH is not None:
        require_dtype("d_weight", d_weight_VH, (torch.float32,))
        require(d_weight_VH.shape == weight_VH.shape, "d_weight must have the shape of weight")
        require_device(weight_VH.device, d_weight=d_weight_VH)
    return one_pass(head, objective.checked(head.targets_N), d_weight_VH)


def _of_batch(
    hidden: torch.Tensor,
    weight_VH: torch.Tensor,
    targets: torch.Tensor,
    objective: Objective,
    d_weight_VH: torch.Tensor | None,
    options: dict[str, Any],
) -> PolicyLoss:
    """`linear_policy_loss` of tokens with other leading sizes than [N]."""
    batch = Batch(hidden, targets)
    options = options | {"temperature": batch.flat(options["temperature"], "temperature")}
    result = linear_policy_loss(
        hidden.flatten(0, -2),
        weight_VH,
        targets.flatten(),
        batch.flat_objective(objective),
        d_weight_VH,
        **options,
    )
    parts = (getattr(result, field.name) for field in fields(PolicyLoss))
    return PolicyLoss(*map(batch.back, parts))


def one_pass(head: Head, objective: TokenObjective, d_weight_VH: torch.Tensor | None) -> PolicyLoss:
    """`linear_policy_loss` on checked arguments; without d weight, one product less."""
    results_6N = head.scale_N.new_zeros(6, head.scale_N.numel())
    results = TokenResults(*results_6N)
    results.logp.fill_(torch.nan)
    results.entropy.fill_(torch.nan)
    d_hidden_NH = torch.zeros_like(head.hidden_NH)
    for chunk in head.chunks(objective.needed()):
        index_C, part = chunk.index_C, objective.at(chunk.index_C)
        results_6C = results_6N.new_empty(6, index_C.numel())
        per_row = head.targets_N[index_C], head.scale_N[index_C]
        d_logits_CV = over(chunk.logits_CV, chunk.hidden_CH.dtype)
        head.rows.policy_loss(chunk.logits_CV, *per_row, part, results_6C, d_logits_CV)
        results_6N[:, index_C] = results_6C
        if CORRECTIONS[part.correction] == "clip":
            chunk = _without_still_rows(chunk, part, TokenResults(*results_6C).coefficient)
            d_logits_CV = d_logits_CV[: chunk.index_C.numel()]
        d_hidden_NH[chunk.index_C] = head.products.d_hidden(d_logits_CV, head.weight_VH)
        if d_weight_VH is not None:
            head.products.add_d_weight(d_weight_VH, d_logits_CV, chunk.hidden_CH)
    clipped_N = results.clipped.bool()
    return PolicyLoss(
        results.logp, results.entropy, results.loss, clipped_N, results.k3, d_hidden_NH
    )


def _without_still_rows(
    chunk: Chunk, objective: TokenObjective, coefficient_C: torch.Tensor
) -> Chunk:
    """The chunk less rows whose gradient is exactly 0: the last of the others take their places.

    So at most as many rows are moved as are left out of two products, and no second buffer is
    needed; each row's own results stay bitwise the same.
    """
    _, weight_C, entropy_weight_C, *_ = objective.unpacked()
    moves_C = (coefficient_C != 0) | (weight_C * entropy_weight_C != 0)
    count, holes, fillers = _swaps(moves_C)
    for rows in (chunk.index_C, chunk.hidden_CH, chunk.logits_CV):
        rows[holes] = rows[fillers]
    return Chunk(chunk.index_C[:count], chunk.hidden_CH[:count], chunk.logits_CV[:count])


def _swaps(kept_C: torch.Tensor) -> tuple[int, torch.Tensor, torch.Tensor]:
    """How many rows are kept, those not kept among the first so many, and the kept ones behind.

    Sorted, not searched for, since a search's result has a length that a GPU is waited for; here it
    is waited for once.
    """
    place_C, count = torch.arange(kept_C.numel(), device=kept_C.device), kept_C.sum()
    hole_C, filler_C = ~kept_C & (place_C < count), kept_C & (place_C >= count)
    holes, fillers = (some_C.sort(descending=True, stable=True)[1] for some_C in (hole_C, filler_C))
    total, moved = torch.stack((count, hole_C.sum())).tolist()
    return total, holes[:moved], fillers[:moved]
