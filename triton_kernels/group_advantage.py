"""Per-token advantages over packed sequences from one reward per sequence, in one launch.

A program takes some sequences, looks through all S keys for where the members of their groups lie,
weighs the rewards between the first and the last of them, then writes its tokens: no sorting, no
atomics, any integers as keys. That is S² comparisons of data that stays in the cache, and S² sums
as well where members are far apart; of many thousand sequences a sorted or hashed form would win.

Numerics: statistics are fp64, of differences to the sequence's own reward. Equal rewards are
differences of exactly 0, and large rewards with a tiny spread lose nothing. The variance takes a
second pass, over differences to the mean.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl

ALIGN = tl.constexpr(4)  # elements: 128 bits of float32


class Config(NamedTuple):
    """Sequences of a program; in a step, sequences searched for members, sequences weighed and
    tokens written; warps."""

    rows: int
    span: int
    block_s: int
    block_n: int
    num_warps: int


# The fastest of twelve on an H200, of 1 M tokens: 7 us for 1024 sequences; 12 us for 4096 and 76 us
# for 16384 in groups that lie together, 30 us and 350 us for shuffled ones.
CONFIGS = {"few": Config(2, 512, 64, 1024, 4), "many": Config(8, 512, 64, 256, 4)}
MANY = 1024  # sequences


@triton.jit
def _span(  # noqa: ANN202
    first_row: tl.tensor,
    groups_ptr: tl.tensor,
    lengths_ptr: tl.tensor,
    sequences: tl.tensor,
    ONE_GROUP: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Between which sequences the members of my rows' groups lie, and tokens before my rows."""
    block = tl.arange(0, BLOCK_S)
    before = tl.zeros([BLOCK_S], tl.int64)
    near = tl.zeros([BLOCK_S], tl.int32) + sequences
    far = tl.zeros([BLOCK_S], tl.int32)
    for first in range(0, sequences, BLOCK_S):
        index = first + block
        before += tl.load(lengths_ptr + index, mask=index < first_row, other=0).to(tl.int64)
        inside = index < sequences
        member = inside
        if not ONE_GROUP:
            group = tl.load(groups_ptr + index, mask=inside, other=0)
            member = index < 0
            for i in tl.static_range(ROWS):
                member |= group == tl.load(groups_ptr + tl.minimum(first_row + i, sequences - 1))
            member &= inside
        near = tl.minimum(near, tl.where(member, index, sequences))
        far = tl.maximum(far, tl.where(member, index + 1, 0))
    return tl.min(near, 0), tl.max(far, 0), tl.sum(before, 0)


@triton.jit
def _look(  # noqa: ANN202
    first: tl.tensor,
    rewards_ptr: tl.tensor,
    groups_ptr: tl.tensor,
    lengths_ptr: tl.tensor,
    sequences: tl.tensor,
    mine: tl.tensor,
    key: tl.tensor,
    ONE_GROUP: tl.constexpr,
    TOKEN_WEIGHTED: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Of a block, [my rows, block]: weight in my group (else 0) and reward - my reward."""
    index = first + tl.arange(0, BLOCK_S)
    inside = index < sequences
    reward = tl.load(rewards_ptr + index, mask=inside, other=0.0).to(tl.float64)
    share = inside.to(tl.float64)
    if TOKEN_WEIGHTED:
        share = tl.load(lengths_ptr + index, mask=inside, other=0).to(tl.float64)
    member = inside[None, :] & (key == key)[:, None]
    if not ONE_GROUP:
        group = tl.load(groups_ptr + index, mask=inside, other=0)
        member = inside[None, :] & (group[None, :] == key[:, None])
    return tl.where(member, share[None, :], 0.0), reward[None, :] - mine[:, None]


@triton.jit
def _advantages(  # noqa: ANN202
    near: tl.tensor,
    far: tl.tensor,
    rewards_ptr: tl.tensor,
    groups_ptr: tl.tensor,
    lengths_ptr: tl.tensor,
    sequences: tl.tensor,
    mine: tl.tensor,
    key: tl.tensor,
    ONE_GROUP: tl.constexpr,
    TOKEN_WEIGHTED: tl.constexpr,
    LEAVE_ONE_OUT: tl.constexpr,
    SCALED: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Of my rows, whose groups' members lie between near and far."""
    totals = tl.zeros([mine.shape[0], BLOCK_S], tl.float64)
    deltas = tl.zeros([mine.shape[0], BLOCK_S], tl.float64)
    for first in range(near, far, BLOCK_S):
        weight, delta = _look(
            first, rewards_ptr, groups_ptr, lengths_ptr, sequences, mine, key,
            ONE_GROUP, TOKEN_WEIGHTED, BLOCK_S,
        )  # fmt: skip
        totals += weight
        deltas += weight * delta
    total = tl.sum(totals, 1)
    delta_sum = tl.sum(deltas, 1)
    if LEAVE_ONE_OUT:
        # reward - (sum of the others) / (count - 1), written in differences.
        advantage = -delta_sum / tl.maximum(total - 1.0, 1.0)
    else:
        mean = delta_sum / tl.where(total > 0, total, 1.0)
        advantage = -mean
        if SCALED:
            squares = tl.zeros([mine.shape[0], BLOCK_S], tl.float64)
            for first in range(near, far, BLOCK_S):
                weight, delta = _look(
                    first, rewards_ptr, groups_ptr, lengths_ptr, sequences, mine, key,
                    ONE_GROUP, TOKEN_WEIGHTED, BLOCK_S,
                )  # fmt: skip
                delta -= mean[:, None]
                squares += weight * delta * delta
            deviation = tl.sqrt(tl.sum(squares, 1) / tl.where(total > 0, total, 1.0))
            spread = deviation > 1e-12 * tl.maximum(tl.abs(mine + mean), 1.0)
            advantage = tl.where(spread, advantage / tl.where(spread, deviation, 1.0), 0.0)
    # A group of one has no difference but 0 and needs no case of its own.
    return advantage.to(tl.float32)


@triton.jit
def advantage_tokens(
    rewards_ptr: tl.tensor,
    groups_ptr: tl.tensor,
    lengths_ptr: tl.tensor,
    advantage_ptr: tl.tensor,
    sequences: tl.tensor,
    ONE_GROUP: tl.constexpr,
    TOKEN_WEIGHTED: tl.constexpr,
    LEAVE_ONE_OUT: tl.constexpr,
    SCALED: tl.constexpr,
    ROWS: tl.constexpr,
    SPAN: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_N: tl.constexpr,
) -> None:
    """ROWS sequences per program: their groups' statistics, their advantages, their tokens."""
    lanes = tl.arange(0, ROWS)
    first_row = tl.program_id(0) * ROWS
    row = first_row + lanes
    exists = row < sequences
    mine = tl.load(rewards_ptr + row, mask=exists, other=0.0).to(tl.float64)
    own_length = tl.load(lengths_ptr + row, mask=exists, other=0).to(tl.int64)
    key = tl.load(groups_ptr + row, mask=exists, other=0)
    near, far, begin = _span(first_row, groups_ptr, lengths_ptr, sequences, ONE_GROUP, ROWS, SPAN)
    value = _advantages(
        near, far, rewards_ptr, groups_ptr, lengths_ptr, sequences, mine, key,
        ONE_GROUP, TOKEN_WEIGHTED, LEAVE_ONE_OUT, SCALED, BLOCK_S,
    )  # fmt: skip
    for i in tl.static_range(ROWS):
        length = tl.sum(tl.where(lanes == i, own_length, 0), 0)
        _fill(advantage_ptr, begin, length, tl.sum(tl.where(lanes == i, value, 0.0), 0), BLOCK_N)
        begin += length


@triton.jit
def _fill(
    out_ptr: tl.tensor,
    begin: tl.tensor,
    length: tl.tensor,
    value: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """out[begin : begin + length] = value, in stores of 64 or 128 bits but at the ends."""
    lanes = tl.arange(0, BLOCK)
    skew = (begin % ALIGN).to(tl.int32)
    end = skew + length.to(tl.int32)
    tiles = out_ptr + tl.multiple_of(begin - skew, ALIGN) + lanes
    values = tl.zeros([BLOCK], tl.float32) + value
    tl.store(tiles, values, mask=(lanes >= skew) & (lanes < end))
    last = tl.maximum(end // BLOCK * BLOCK, BLOCK)
    for column in range(BLOCK, last, BLOCK):
        tl.store(tiles + column, values)
    for column in range(last, end, BLOCK):
        tl.store(tiles + column, values, mask=column + lanes < end)


def launch(
    rewards_S: torch.Tensor,
    groups_S: torch.Tensor,
    lengths_S: torch.Tensor,
    advantage_N: torch.Tensor,
    *,
    one_group: bool,
    token_weighted: bool,
    leave_one_out: bool,
    scaled: bool,
) -> None:
    """Write the advantage of every token; all tensors are contiguous and none is empty."""
    sequences = rewards_S.numel()
    config = CONFIGS["many" if sequences > MANY else "few"]
    advantage_tokens[(triton.cdiv(sequences, config.rows),)](
        rewards_S,
        groups_S,
        lengths_S,
        advantage_N,
        sequences,
        ONE_GROUP=one_group,
        TOKEN_WEIGHTED=token_weighted,
        LEAVE_ONE_OUT=leave_one_out,
        SCALED=scaled,
        ROWS=config.rows,
        SPAN=config.span,
        BLOCK_S=config.block_s,
        BLOCK_N=config.block_n,
        num_warps=config.num_warps,
    )
