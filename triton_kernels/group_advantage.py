"""Per-token advantages over packed sequences from one reward per sequence, in one launch.

A program takes some sequences, looks through all S rewards for the members of their groups, then
writes their tokens: no sorting, no atomics, any integers as keys. That is S² comparisons of data
that stays in the cache, at some twenty instructions each: by arithmetic about 13 µs of an H100 at
4,096 sequences and sixteen times that at 16,384, where a sorted or hashed form would win.

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
    """Sequences of a program, sequences looked at and tokens written in a step, warps."""

    rows: int
    block_s: int
    block_n: int
    num_warps: int


# Not measured; chosen so that nothing spills. Few sequences are long and want a program each; many
# share what a program has read and converted.
CONFIGS = {"few": Config(1, 256, 1024, 4), "many": Config(8, 256, 1024, 8)}
MANY = 1024  # sequences


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
    """Of a block of sequences: index, length, and [my sequences, block] weight in my group (else 0)
    and reward - my reward."""
    index = first + tl.arange(0, BLOCK_S)
    inside = index < sequences
    length = tl.load(lengths_ptr + index, mask=inside, other=0).to(tl.int64)
    reward = tl.load(rewards_ptr + index, mask=inside, other=0.0).to(tl.float64)
    share = inside.to(tl.float64)
    if TOKEN_WEIGHTED:
        share = length.to(tl.float64)
    member = inside[None, :] & (key == key)[:, None]
    if not ONE_GROUP:
        group = tl.load(groups_ptr + index, mask=inside, other=0)
        member = inside[None, :] & (group[None, :] == key[:, None])
    weight = tl.where(member, share[None, :], 0.0)
    return index, length, weight, reward[None, :] - mine[:, None]


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
    BLOCK_S: tl.constexpr,
    BLOCK_N: tl.constexpr,
) -> None:
    """ROWS sequences per program: their groups' statistics, their advantages, their tokens."""
    lanes = tl.arange(0, ROWS)
    row = tl.program_id(0) * ROWS + lanes
    exists = row < sequences
    mine = tl.load(rewards_ptr + row, mask=exists, other=0.0).to(tl.float64)
    own_length = tl.load(lengths_ptr + row, mask=exists, other=0).to(tl.int64)
    key = tl.load(groups_ptr + row, mask=exists, other=0)
    before = tl.zeros([BLOCK_S], tl.int64)
    totals = tl.zeros([ROWS, BLOCK_S], tl.float64)
    deltas = tl.zeros([ROWS, BLOCK_S], tl.float64)
    for first in range(0, sequences, BLOCK_S):
        index, length, weight, delta = _look(
            first, rewards_ptr, groups_ptr, lengths_ptr, sequences, mine, key,
            ONE_GROUP, TOKEN_WEIGHTED, BLOCK_S,
        )  # fmt: skip
        before += tl.where(index < tl.program_id(0) * ROWS, length, 0)
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
            squares = tl.zeros([ROWS, BLOCK_S], tl.float64)
            for first in range(0, sequences, BLOCK_S):
                index, length, weight, delta = _look(
                    first, rewards_ptr, groups_ptr, lengths_ptr, sequences, mine, key,
                    ONE_GROUP, TOKEN_WEIGHTED, BLOCK_S,
                )  # fmt: skip
                delta -= mean[:, None]
                squares += weight * delta * delta
            deviation = tl.sqrt(tl.sum(squares, 1) / tl.where(total > 0, total, 1.0))
            spread = deviation > 1e-12 * tl.maximum(tl.abs(mine + mean), 1.0)
            advantage = tl.where(spread, advantage / tl.where(spread, deviation, 1.0), 0.0)
    # A group of one has no difference but 0 and needs no case of its own.
    value = advantage.to(tl.float32)
    begin = tl.sum(before, 0)
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
    """out[begin : begin + length] = value, in 128-bit stores but at the ends."""
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
        BLOCK_S=config.block_s,
        BLOCK_N=config.block_n,
        num_warps=config.num_warps,
    )
