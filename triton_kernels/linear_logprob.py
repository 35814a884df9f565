"""Row statistics of a head's logits from hidden states [T, H] and weight [V, H], without [T, V].

The product's accumulators never leave the registers: each tile of logits is reduced to three fp32
numbers per token — its largest z, Σ e^y and Σ y e^y, with y = z - largest — and a second kernel
merges a token's tiles exactly, as `azr_fast.ops.statistics.merge` merges shards. 12 bytes per token
and tile of words take the place of the tile's logits. No atomics: two runs are bitwise equal.

Everything is in base 2 until the merge: k = log2(e) / T is folded into the logits once and
exponentials are the hardware's exp2. A tile's largest z is subtracted by one fused multiply-add
with the very number that is stored, so that its rounding cancels in the merge.

Tiles come through TMA descriptors, which pad the edges of T, V and H with zeros; the words beyond V
are masked. A program loops over tiles (`programs` = the multiprocessors) and the flattened loop
loads the next tile while the current one is reduced.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)
TMA_BYTES = 16  # what rows must begin at a multiple of


class Config(NamedTuple):
    """A tile in tokens, words and hidden elements; warps and loads under way of a program; how
    many tiles of tokens are worked on together, so that their words are read from the L2 cache."""

    block_t: int
    block_v: int
    block_h: int
    num_warps: int
    num_stages: int
    group: int


# The fastest of ten at 7B on an H200; three stages were as fast. Two programs of 128 by 128 on a
# multiprocessor, of which one multiplies while the other reduces, took 1.19 times as long.
CONFIG = Config(128, 256, 64, num_warps=8, num_stages=4, group=16)
MERGE = (32, 32)  # tokens and tiles of words that a program of the merge reads at once


@triton.jit
def _place(tile: tl.tensor, token_tiles: tl.tensor, word_tiles: tl.tensor, GROUP: tl.constexpr):  # noqa: ANN202
    """Which tokens and words: GROUP tiles of tokens walk through all words side by side."""
    first = tile // (GROUP * word_tiles) * GROUP
    width = tl.minimum(token_tiles - first, GROUP)
    within = tile % (GROUP * word_tiles)
    return first + within % width, within // width


@triton.jit
def head_tiles(
    hidden: tl.tensor,
    weight: tl.tensor,
    targets_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    top_ptr: tl.tensor,
    exp_ptr: tl.tensor,
    y_exp_ptr: tl.tensor,
    chosen_ptr: tl.tensor,
    tokens: tl.tensor,
    width: tl.tensor,
    vocabulary: tl.tensor,
    BLOCK_T: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_H: tl.constexpr,
    GROUP: tl.constexpr,
    UPCAST: tl.constexpr,
) -> None:
    """Statistics [word tiles, T] of each tile of logits, and each target's raw logit [T]."""
    token_tiles = tl.cdiv(tokens, BLOCK_T)
    word_tiles = tl.cdiv(vocabulary, BLOCK_V)
    word = tl.arange(0, BLOCK_V)
    tiles = token_tiles * word_tiles
    for tile in tl.range(tl.program_id(0), tiles, tl.num_programs(0), flatten=True):
        token_tile, word_tile = _place(tile, token_tiles, word_tiles, GROUP)
        first_token = token_tile * BLOCK_T
        first_word = word_tile * BLOCK_V
        logits = tl.zeros([BLOCK_T, BLOCK_V], tl.float32)
        for h in range(0, width, BLOCK_H):
            a = hidden.load([first_token, h])
            b = weight.load([first_word, h])
            if UPCAST:
                a, b = a.to(tl.float32), b.to(tl.float32)
            logits = tl.dot(a, b.T, logits)
        token = first_token + tl.arange(0, BLOCK_T)
        inside = token < tokens
        k = tl.load(scale_ptr + token, mask=inside, other=1.0) * LOG2E
        logits = tl.where((word < vocabulary - first_word)[None, :], logits, float("-inf"))
        top = tl.max(logits, 1) * k
        out = word_tile.to(tl.int64) * tokens + token
        tl.store(top_ptr + out, top, mask=inside)
        # Words are compared as 32 bits: an ignored target or another tile's is none of them.
        target = tl.load(targets_ptr + token, mask=inside, other=-1) - first_word
        hit = (target >= 0) & (target < BLOCK_V)
        is_target = word[None, :] == target.to(tl.int32)[:, None]
        chosen = tl.sum(tl.where(is_target, logits, 0.0), 1)
        tl.store(chosen_ptr + token, chosen, mask=inside & hit)
        y = logits * k[:, None] - top[:, None]
        e = tl.exp2(y)
        tl.store(exp_ptr + out, tl.sum(e, 1), mask=inside)
        tl.store(y_exp_ptr + out, tl.sum(e * tl.where(e == 0.0, 0.0, y), 1), mask=inside)


@triton.jit
def merge_tiles(
    top_ptr: tl.tensor,
    exp_ptr: tl.tensor,
    y_exp_ptr: tl.tensor,
    chosen_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    shift_out_ptr: tl.tensor,
    exp_out_ptr: tl.tensor,
    y_exp_out_ptr: tl.tensor,
    target_y_out_ptr: tl.tensor,
    tokens: tl.tensor,
    word_tiles: tl.tensor,
    BLOCK_T: tl.constexpr,
    BLOCK_W: tl.constexpr,
) -> None:
    """A block of tokens per program, first their largest z and then the sums relative to it."""
    token = tl.program_id(0) * BLOCK_T + tl.arange(0, BLOCK_T)
    inside = token < tokens
    lanes = tl.arange(0, BLOCK_W)
    tops = tl.full([BLOCK_W, BLOCK_T], float("-inf"), tl.float32)
    for first in range(0, word_tiles, BLOCK_W):
        tile = first + lanes
        at = tile.to(tl.int64)[:, None] * tokens + token[None, :]
        mask = (tile < word_tiles)[:, None] & inside[None, :]
        tops = tl.maximum(tops, tl.load(top_ptr + at, mask=mask, other=float("-inf")))
    shift = tl.max(tops, 0)
    totals = tl.zeros([BLOCK_W, BLOCK_T], tl.float32)
    moments = tl.zeros([BLOCK_W, BLOCK_T], tl.float32)
    for first in range(0, word_tiles, BLOCK_W):
        tile = first + lanes
        at = tile.to(tl.int64)[:, None] * tokens + token[None, :]
        mask = (tile < word_tiles)[:, None] & inside[None, :]
        move = tl.load(top_ptr + at, mask=mask, other=-1e30) - shift[None, :]
        factor = tl.exp2(move)
        total = factor * tl.load(exp_ptr + at, mask=mask, other=0.0)
        moment = factor * tl.load(y_exp_ptr + at, mask=mask, other=0.0)
        totals += total
        moments += moment + total * tl.where(total == 0.0, 0.0, move)
    k = tl.load(scale_ptr + token, mask=inside, other=1.0) * LOG2E
    chosen = tl.load(chosen_ptr + token, mask=inside, other=0.0)
    tl.store(shift_out_ptr + token, shift * LN2, mask=inside)
    tl.store(exp_out_ptr + token, tl.sum(totals, 0), mask=inside)
    tl.store(y_exp_out_ptr + token, tl.sum(moments, 0) * LN2, mask=inside)
    tl.store(target_y_out_ptr + token, (chosen * k - shift) * LN2, mask=inside)


def statistics(
    hidden_TH: torch.Tensor,
    weight_VH: torch.Tensor,
    targets_T: torch.Tensor,
    scale_T: torch.Tensor,
    config: Config,
    programs: int,
) -> torch.Tensor:
    """Float32 [4, T]: shift, exp, y_exp and target_y of `azr_fast.ops.statistics.RowStatistics`.

    Hidden states and weight are bfloat16 or float16; where a descriptor cannot take their strides
    they are copied. Targets are int32 or int64 and, like the scales (float32, 1 / temperature),
    contiguous. The target_y of a target outside the vocabulary, as an ignored one, is -inf.
    """
    hidden_TH, weight_VH = _for_tma(hidden_TH), _for_tma(weight_VH)
    tokens, vocabulary = hidden_TH.shape[0], weight_VH.shape[0]
    result = hidden_TH.new_empty(4, tokens, dtype=torch.float32)
    if not tokens:
        return result
    word_tiles = triton.cdiv(vocabulary, config.block_v)
    tiles = triton.cdiv(tokens, config.block_t) * word_tiles
    partial = hidden_TH.new_empty(3, word_tiles, tokens, dtype=torch.float32)
    chosen_T = torch.full_like(result[0], -torch.inf)
    head_tiles[(min(programs, tiles),)](
        TensorDescriptor.from_tensor(hidden_TH, [config.block_t, config.block_h]),
        TensorDescriptor.from_tensor(weight_VH, [config.block_v, config.block_h]),
        targets_T,
        scale_T,
        *partial,
        chosen_T,
        tokens,
        hidden_TH.shape[1],
        vocabulary,
        BLOCK_T=config.block_t,
        BLOCK_V=config.block_v,
        BLOCK_H=config.block_h,
        GROUP=config.group,
        UPCAST=interpreted(hidden_TH),
        num_warps=config.num_warps,
        num_stages=config.num_stages,
    )
    merge_tiles[(triton.cdiv(tokens, MERGE[0]),)](
        *partial,
        chosen_T,
        scale_T,
        *result,
        tokens,
        word_tiles,
        BLOCK_T=MERGE[0],
        BLOCK_W=MERGE[1],
    )
    return result


def interpreted(tensor: torch.Tensor) -> bool:
    """Triton's interpreter takes tensors of a CPU, and gets products of bfloat16 wrong."""
    return not tensor.is_cuda


def _for_tma(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix, or a copy with rows at multiples of 16 bytes; added columns are 0."""
    step = TMA_BYTES // matrix.element_size()
    aligned = matrix.stride(0) % step == 0 and matrix.data_ptr() % TMA_BYTES == 0
    if matrix.stride(1) == 1 and matrix.stride(0) > 0 and aligned:
        return matrix
    return torch.nn.functional.pad(matrix, (0, -matrix.shape[1] % step)).contiguous()
