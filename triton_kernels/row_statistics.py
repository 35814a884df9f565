"""Statistics of rows of given logits, from which log-probability and entropy follow.

One program walks one row (`row_walk`). For a head's logits that a product has written anyway, and
for vocabulary shards, whose statistics are merged.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from azr_fast.triton_kernels.row_walk import FORWARD, row_numbers, width


@triton.jit
def row_statistics(
    logits_ptr: tl.tensor,
    targets_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    shift_ptr: tl.tensor,
    exp_ptr: tl.tensor,
    y_exp_ptr: tl.tensor,
    target_y_ptr: tl.tensor,
    stride: tl.tensor,
    vocabulary: tl.tensor,
    BLOCK: tl.constexpr,
    LANES: tl.constexpr,
) -> None:
    """One row per program."""
    row = tl.program_id(0).to(tl.int64)
    scale = tl.load(scale_ptr + row)
    begin = row * stride
    top, total, moment = row_numbers(logits_ptr, begin, vocabulary, scale, BLOCK, LANES)
    x_target = tl.load(logits_ptr + begin + tl.load(targets_ptr + row)).to(tl.float32)
    tl.store(shift_ptr + row, top * scale)
    tl.store(exp_ptr + row, total)
    tl.store(y_exp_ptr + row, moment * scale)
    tl.store(target_y_ptr + row, (x_target - top) * scale)


def launch(
    logits_CV: torch.Tensor,
    targets_C: torch.Tensor,
    scale_C: torch.Tensor,
    result_4C: torch.Tensor,
) -> None:
    """Write shift, exp, y_exp and target_y of `azr_fast.ops.statistics.RowStatistics`, float32.

    Logits have a column stride of 1, all else is contiguous; targets lie in the vocabulary.
    """
    rows, vocabulary = logits_CV.shape
    config = FORWARD[width(vocabulary)]
    row_statistics[(rows,)](
        logits_CV,
        targets_C,
        scale_C,
        *result_4C,
        logits_CV.stride(0),
        vocabulary,
        BLOCK=config.block,
        LANES=config.lanes,
        num_warps=config.num_warps,
    )
