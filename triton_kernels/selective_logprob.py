"""Log-probability and entropy of one target per row of logits, and the gradient of both.

One program walks one row in tiles and keeps three fp32 numbers, each relative to the running
maximum `top`: total = Σ exp((x - top) / T) and moment = Σ exp((x - top) / T) (x - top). With
log_sum = ln total, log p(t) = (x_t - top) / T - log_sum and H = log_sum - moment / (T total): no
difference of large numbers is taken, so logits far from zero cost no precision. No atomics: two
runs are bitwise equal.

Rows begin wherever the vocabulary's size puts them. Tiles begin at the last aligned element
before the row, only the first and the last one are masked, and all others load 128 bits at once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LOWEST = tl.constexpr(-3.0e38)  # finite: a maximum to start from whose differences are no nan
ALIGN = tl.constexpr(16)  # elements, as many as Triton's own hints about pointers and strides


class Config(NamedTuple):
    """Elements of a tile and warps of a program."""

    block: int
    num_warps: int


# Chosen for registers (several programs on a multiprocessor hide each other's latency; the
# backward pass needs more of them per element), not measured.
FORWARD = {"narrow": Config(1024, 4), "wide": Config(4096, 8)}
BACKWARD = {"narrow": Config(1024, 4), "wide": Config(2048, 8)}


def width(vocabulary: int) -> str:
    """Wide tiles where a row fills some of them."""
    return "wide" if vocabulary > 8192 else "narrow"


@triton.jit
def _add_tile(x: tl.tensor, k: tl.tensor, top: tl.tensor, total: tl.tensor, moment: tl.tensor):  # noqa: ANN202
    """Fold a tile into the row's numbers; k = log2(e) / T. Logits of -inf add nothing."""
    new_top = tl.maximum(top, tl.max(x, 0))
    drop = top - new_top
    keep = tl.exp2(drop * k)
    below = x - new_top
    e = tl.exp2(below * k)
    moment = keep * (moment + total * drop) + tl.sum(tl.where(e > 0, e * below, 0.0), 0)
    return new_top, keep * total + tl.sum(e, 0), moment


@triton.jit
def logprob_forward(
    logits_ptr: tl.tensor,
    targets_ptr: tl.tensor,
    temperature_ptr: tl.tensor,
    logp_ptr: tl.tensor,
    entropy_ptr: tl.tensor,
    top_ptr: tl.tensor,
    log_sum_ptr: tl.tensor,
    stride: tl.tensor,
    temperature_stride: tl.tensor,
    vocabulary: tl.tensor,
    ignore_index: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """One row per program; an ignored target's row is not read and gives zeros."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets_ptr + row)
    logp, entropy, top, log_sum = 0.0, 0.0, 0.0, 0.0
    if target != ignore_index:
        temperature = tl.load(temperature_ptr + row * temperature_stride)
        k = LOG2E / temperature
        begin = row * stride
        skew = (begin % ALIGN).to(tl.int32)
        end = skew + vocabulary
        tiles = logits_ptr + tl.multiple_of(begin - skew, ALIGN) + tl.arange(0, BLOCK)
        lanes = tl.arange(0, BLOCK)
        inside = (lanes >= skew) & (lanes < end)
        x = tl.load(tiles, mask=inside, other=float("-inf")).to(tl.float32)
        top, total, moment = _add_tile(x, k, LOWEST, 0.0, 0.0)
        last = tl.maximum(end // BLOCK * BLOCK, BLOCK)
        for column in range(BLOCK, last, BLOCK):
            x = tl.load(tiles + column).to(tl.float32)
            top, total, moment = _add_tile(x, k, top, total, moment)
        for column in range(last, end, BLOCK):
            inside = column + lanes < end
            x = tl.load(tiles + column, mask=inside, other=float("-inf")).to(tl.float32)
            top, total, moment = _add_tile(x, k, top, total, moment)
        log_sum = tl.log(total)
        x_target = tl.load(logits_ptr + begin + target).to(tl.float32)
        logp = (x_target - top) / temperature - log_sum
        entropy = log_sum - moment / (temperature * total)
    tl.store(logp_ptr + row, logp)
    tl.store(entropy_ptr + row, entropy)
    tl.store(top_ptr + row, top)
    tl.store(log_sum_ptr + row, log_sum)


@triton.jit
def _d_tile(  # noqa: ANN202
    x: tl.tensor,
    is_target: tl.tensor,
    scale: tl.tensor,
    top: tl.tensor,
    log_sum: tl.tensor,
    entropy: tl.tensor,
    d_logp: tl.tensor,
    d_entropy: tl.tensor,
):
    """d log p(t) / dx_j = ([j = t] - p_j) / T and d H / dx_j = -p_j (log p_j + H) / T."""
    logp = (x - top) * scale - log_sum
    p = tl.exp2(logp * LOG2E)
    pull = d_logp + tl.where(p > 0, d_entropy * (logp + entropy), 0.0)
    return scale * (tl.where(is_target, d_logp, 0.0) - p * pull)


@triton.jit
def logprob_backward(
    logits_ptr: tl.tensor,
    targets_ptr: tl.tensor,
    temperature_ptr: tl.tensor,
    entropy_ptr: tl.tensor,
    top_ptr: tl.tensor,
    log_sum_ptr: tl.tensor,
    d_logp_ptr: tl.tensor,
    d_entropy_ptr: tl.tensor,
    d_logits_ptr: tl.tensor,
    stride: tl.tensor,
    d_stride: tl.tensor,
    temperature_stride: tl.tensor,
    vocabulary: tl.tensor,
    ignore_index: tl.tensor,
    BLOCK: tl.constexpr,
    ALIKE: tl.constexpr,
) -> None:
    """One row per program. ALIKE: rows of logits and of d logits are equally far from aligned."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets_ptr + row)
    lanes = tl.arange(0, BLOCK)
    d_begin = row * d_stride
    skew = (d_begin % ALIGN).to(tl.int32)
    end = skew + vocabulary
    d_tiles = d_logits_ptr + tl.multiple_of(d_begin - skew, ALIGN) + lanes
    inside = (lanes >= skew) & (lanes < end)
    dtype = d_logits_ptr.dtype.element_ty
    if target == ignore_index:
        zeros = tl.zeros([BLOCK], dtype)
        tl.store(d_tiles, zeros, mask=inside)
        for column in range(BLOCK, end, BLOCK):
            tl.store(d_tiles + column, zeros, mask=column + lanes < end)
    else:
        begin = row * stride - skew
        if ALIKE:
            begin = tl.multiple_of(begin, ALIGN)
        tiles = logits_ptr + begin + lanes
        hit = (target + skew).to(tl.int32)
        scale = 1.0 / tl.load(temperature_ptr + row * temperature_stride)
        top, log_sum = tl.load(top_ptr + row), tl.load(log_sum_ptr + row)
        entropy = tl.load(entropy_ptr + row)
        d_logp, d_entropy = tl.load(d_logp_ptr + row), tl.load(d_entropy_ptr + row)
        x = tl.load(tiles, mask=inside, other=0.0).to(tl.float32)
        d_x = _d_tile(x, lanes == hit, scale, top, log_sum, entropy, d_logp, d_entropy)
        tl.store(d_tiles, d_x.to(dtype), mask=inside)
        last = tl.maximum(end // BLOCK * BLOCK, BLOCK)
        for column in range(BLOCK, last, BLOCK):
            x = tl.load(tiles + column).to(tl.float32)
            is_target = column + lanes == hit
            d_x = _d_tile(x, is_target, scale, top, log_sum, entropy, d_logp, d_entropy)
            tl.store(d_tiles + column, d_x.to(dtype))
        for column in range(last, end, BLOCK):
            inside = column + lanes < end
            x = tl.load(tiles + column, mask=inside, other=0.0).to(tl.float32)
            is_target = column + lanes == hit
            d_x = _d_tile(x, is_target, scale, top, log_sum, entropy, d_logp, d_entropy)
            tl.store(d_tiles + column, d_x.to(dtype), mask=inside)


def forward(
    logits_TV: torch.Tensor,
    targets_T: torch.Tensor,
    temperature_T: torch.Tensor,
    ignore_index: int,
    logp_T: torch.Tensor,
    entropy_T: torch.Tensor,
    top_T: torch.Tensor,
    log_sum_T: torch.Tensor,
) -> None:
    """Launch the forward kernel; see azr_fast.ops.selective_logprob.Rows."""
    tokens, vocabulary = logits_TV.shape
    config = FORWARD[width(vocabulary)]
    logprob_forward[(tokens,)](
        logits_TV,
        targets_T,
        temperature_T,
        logp_T,
        entropy_T,
        top_T,
        log_sum_T,
        logits_TV.stride(0),
        temperature_T.stride(0),
        vocabulary,
        ignore_index,
        BLOCK=config.block,
        num_warps=config.num_warps,
    )


def backward(
    logits_TV: torch.Tensor,
    targets_T: torch.Tensor,
    temperature_T: torch.Tensor,
    ignore_index: int,
    entropy_T: torch.Tensor,
    top_T: torch.Tensor,
    log_sum_T: torch.Tensor,
    d_logp_T: torch.Tensor,
    d_entropy_T: torch.Tensor,
    d_logits_TV: torch.Tensor,
) -> None:
    """Launch the backward kernel; see azr_fast.ops.selective_logprob.Rows."""
    tokens, vocabulary = logits_TV.shape
    config = BACKWARD[width(vocabulary)]
    logprob_backward[(tokens,)](
        logits_TV,
        targets_T,
        temperature_T,
        entropy_T,
        top_T,
        log_sum_T,
        d_logp_T,
        d_entropy_T,
        d_logits_TV,
        logits_TV.stride(0),
        d_logits_TV.stride(0),
        temperature_T.stride(0),
        vocabulary,
        ignore_index,
        BLOCK=config.block,
        ALIKE=(logits_TV.stride(0) - d_logits_TV.stride(0)) % ALIGN.value == 0,
        num_warps=config.num_warps,
    )
