"""Log-probability and entropy of one target per row of logits, and the gradient of both.

One program walks one row (`row_walk`), forward and once more backward. No atomics: two runs are
bitwise equal.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from azr_fast.triton_kernels.row_walk import (
    ALIGN,
    BACKWARD,
    FORWARD,
    row_numbers,
    width,
    write_gradient,
    write_zeros,
)


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
    LANES: tl.constexpr,
) -> None:
    """One row per program; an ignored target's row is not read and gives zeros."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets_ptr + row)
    logp, entropy, top, log_sum = 0.0, 0.0, 0.0, 0.0
    if target != ignore_index:
        scale = 1.0 / tl.load(temperature_ptr + row * temperature_stride)
        begin = row * stride
        top, total, moment = row_numbers(logits_ptr, begin, vocabulary, scale, BLOCK, LANES)
        log_sum = tl.log(total)
        x_target = tl.load(logits_ptr + begin + target).to(tl.float32)
        logp = (x_target - top) * scale - log_sum
        entropy = log_sum - moment * scale / total
    tl.store(logp_ptr + row, logp)
    tl.store(entropy_ptr + row, entropy)
    tl.store(top_ptr + row, top)
    tl.store(log_sum_ptr + row, log_sum)


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
    """One row per program; see `row_walk.write_gradient` for ALIKE."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets_ptr + row)
    d_begin = row * d_stride
    if target == ignore_index:
        write_zeros(d_logits_ptr, d_begin, vocabulary, BLOCK)
    else:
        write_gradient(
            logits_ptr,
            row * stride,
            d_logits_ptr,
            d_begin,
            vocabulary,
            target,
            1.0 / tl.load(temperature_ptr + row * temperature_stride),
            tl.load(top_ptr + row),
            tl.load(log_sum_ptr + row),
            tl.load(entropy_ptr + row),
            tl.load(d_logp_ptr + row),
            tl.load(d_entropy_ptr + row),
            BLOCK,
            ALIKE,
        )


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
        LANES=config.lanes,
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
        BLOCK=config.d_block,
        ALIKE=(logits_TV.stride(0) - d_logits_TV.stride(0)) % ALIGN.value == 0,
        num_warps=config.num_warps,
    )
