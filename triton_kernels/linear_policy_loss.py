"""From a row of a head's logits to the token's loss and its gradient, between two cuBLAS products.

One program per token. A first walk over its row gives log-probability and entropy; the objective
(`azr_fast.ops.objective`, whose torch version is the oracle) makes them a loss and two derivatives,
all scalars; a second walk, through what is left in the cache, writes d loss / d logits over the
logits. A token without gradient is written as zeros and not read again. No atomics: two runs are
bitwise equal.

With fp32 logits of a bf16 product and a bf16 gradient a chunk's logits cost 10 bytes each here, 4
of them a second read; with bf16 logits 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from azr_fast.triton_kernels.row_walk import (
    ALIGN,
    BOTH,
    row_numbers,
    width,
    write_gradient,
    write_zeros,
)

if TYPE_CHECKING:
    from azr_fast.ops.objective import TokenObjective

LARGEST_EXPONENT = tl.constexpr(20.0)
NONE, CLIP, TRUNCATE = (tl.constexpr(i) for i in range(3))  # as in objective.CORRECTIONS


@triton.jit
def _exponent(x: tl.tensor):  # noqa: ANN202
    """Clamped, and whether the clamp leaves a gradient. nan stays nan."""
    bound = tl.where(x > 0, LARGEST_EXPONENT, -LARGEST_EXPONENT)
    beyond = tl.abs(x) > LARGEST_EXPONENT
    return tl.where(beyond, bound, x), beyond == 0


@triton.jit
def _expm1_less(x: tl.tensor):  # noqa: ANN202
    """e^x - 1 - x; near 0 by its series, where the difference would cancel."""
    series = 1.0 + x / 9.0
    series = 1.0 + x / 8.0 * series
    series = 1.0 + x / 7.0 * series
    series = 1.0 + x / 6.0 * series
    series = 1.0 + x / 5.0 * series
    series = 1.0 + x / 4.0 * series
    series = 1.0 + x / 3.0 * series
    return tl.where(tl.abs(x) < 0.5, 0.5 * x * x * series, tl.exp(x) - 1.0 - x)


@triton.jit
def _surrogate(  # noqa: ANN202
    logp: tl.tensor,
    advantage: tl.tensor,
    behaviour: tl.tensor,
    lowest: tl.tensor,
    highest: tl.tensor,
    dual: tl.tensor,
    cap: tl.tensor,
    CORRECTION: tl.constexpr,
):
    """Its value, minus its derivative by log p, and 1 where the correction bounds it."""
    value, coefficient, clipped = -advantage * logp, advantage, 0.0
    if CORRECTION != NONE:
        exponent, is_free = _exponent(logp - behaviour)
        ratio = tl.exp(exponent)
        if CORRECTION == TRUNCATE:
            coefficient = tl.where(ratio > cap, cap, ratio) * advantage
            value = -coefficient * logp
            clipped = (ratio > cap).to(tl.float32)
        else:
            free = ratio * advantage
            within = tl.where(ratio < lowest, lowest, ratio)
            bounded = tl.where(within > highest, highest, within) * advantage
            floor = tl.where(advantage < 0, dual * advantage, float("-inf"))
            least = tl.where(free > bounded, bounded, free)
            value = -tl.where(least < floor, floor, least)
            is_clipped = (free > bounded) | (free < floor) | (is_free == 0)
            coefficient = tl.where(is_clipped, 0.0, free)
            clipped = is_clipped.to(tl.float32)
    return value, coefficient, clipped


@triton.jit
def _token_loss(  # noqa: ANN202
    logp: tl.tensor,
    entropy: tl.tensor,
    ours: tl.tensor,
    out: tl.tensor,
    tokens: tl.tensor,
    dual: tl.tensor,
    cap: tl.tensor,
    kl_weight: tl.tensor,
    CORRECTION: tl.constexpr,
    HAS_REFERENCE: tl.constexpr,
):
    """From a token's column `ours` to its results `out`; minus the loss's derivatives by log p and
    by entropy. Columns' elements are `tokens` apart."""
    advantage, weight = tl.load(ours), tl.load(ours + tokens)
    entropy_weight, behaviour = tl.load(ours + 2 * tokens), tl.load(ours + 3 * tokens)
    lowest, highest = tl.load(ours + 4 * tokens), tl.load(ours + 5 * tokens)
    value, coefficient, clipped = _surrogate(
        logp, advantage, behaviour, lowest, highest, dual, cap, CORRECTION
    )
    k3 = 0.0
    if HAS_REFERENCE:
        away, is_free = _exponent(tl.load(ours + 6 * tokens) - logp)
        k3 = _expm1_less(away)
        value += kl_weight * k3
        coefficient += kl_weight * tl.where(is_free, away + k3, 0.0)
    coefficient *= weight
    tl.store(out, logp)
    tl.store(out + tokens, entropy)
    tl.store(out + 2 * tokens, weight * (value - entropy_weight * entropy))
    tl.store(out + 3 * tokens, coefficient)
    tl.store(out + 4 * tokens, k3)
    tl.store(out + 5 * tokens, clipped)
    return coefficient, weight * entropy_weight


@triton.jit
def policy_loss_rows(
    logits_ptr: tl.tensor,
    d_logits_ptr: tl.tensor,
    targets_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    per_token_ptr: tl.tensor,
    results_ptr: tl.tensor,
    tokens: tl.tensor,
    stride: tl.tensor,
    d_stride: tl.tensor,
    vocabulary: tl.tensor,
    dual: tl.tensor,
    cap: tl.tensor,
    kl_weight: tl.tensor,
    CORRECTION: tl.constexpr,
    HAS_REFERENCE: tl.constexpr,
    BLOCK: tl.constexpr,
    LANES: tl.constexpr,
    D_BLOCK: tl.constexpr,
    ALIKE: tl.constexpr,
) -> None:
    """One token per program."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets_ptr + row)
    scale = tl.load(scale_ptr + row)
    begin, d_begin = row * stride, row * d_stride
    x_target = tl.load(logits_ptr + begin + target).to(tl.float32)
    top, total, moment = row_numbers(logits_ptr, begin, vocabulary, scale, BLOCK, LANES)
    log_sum = tl.log(total)
    logp = (x_target - top) * scale - log_sum
    entropy = log_sum - moment * scale / total
    coefficient, entropy_coefficient = _token_loss(
        logp, entropy, per_token_ptr + row, results_ptr + row, tokens, dual, cap, kl_weight,
        CORRECTION, HAS_REFERENCE,
    )  # fmt: skip
    if (coefficient == 0.0) & (entropy_coefficient == 0.0):
        write_zeros(d_logits_ptr, d_begin, vocabulary, D_BLOCK)
    else:
        write_gradient(
            logits_ptr,
            begin,
            d_logits_ptr,
            d_begin,
            vocabulary,
            target,
            scale,
            top,
            log_sum,
            entropy,
            -coefficient,
            -entropy_coefficient,
            D_BLOCK,
            ALIKE,
        )


def launch(
    logits_CV: torch.Tensor,
    d_logits_CV: torch.Tensor,
    targets_C: torch.Tensor,
    scale_C: torch.Tensor,
    objective: TokenObjective,
    results_6C: torch.Tensor,
) -> None:
    """See azr_fast.ops.rows.Rows. `d_logits_CV` lies over the logits or apart from them."""
    rows, vocabulary = logits_CV.shape
    config = BOTH[width(vocabulary)]
    policy_loss_rows[(rows,)](
        logits_CV,
        d_logits_CV,
        targets_C,
        scale_C,
        objective.per_token_7N,
        results_6C,
        rows,
        logits_CV.stride(0),
        d_logits_CV.stride(0),
        vocabulary,
        float(objective.dual),
        float(objective.cap),
        float(objective.kl_weight),
        CORRECTION=objective.correction,
        HAS_REFERENCE=objective.has_reference,
        BLOCK=config.block,
        LANES=config.lanes,
        D_BLOCK=config.d_block,
        ALIKE=(logits_CV.stride(0) - d_logits_CV.stride(0)) % ALIGN.value == 0,
        num_warps=config.num_warps,
    )
