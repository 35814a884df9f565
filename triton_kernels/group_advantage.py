"""Per-token advantages over packed sequences from one reward per sequence, in one launch.

One program per sequence looks through all S rewards for the members of its group, then writes its
tokens. That is S² comparisons of data that stays in the cache: cheap to some ten thousand
sequences, with no sorting, no atomics and any integers as keys. (Few sequences of very many tokens
would want several programs each.)

Numerics: statistics are fp64, of differences to the program's own reward. Equal rewards are
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
    """Sequences looked at in a step, tokens written in a step, warps of a program."""

    block_s: int
    block_n: int
    num_warps: int


# Not measured; chosen so that nothing spills. What differs between calls is the number of programs.
CONFIGS = {"default": Config(256, 1024, 4)}


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
    """Of a block of sequences: index, length, weight in my group (else 0), reward - my reward."""
    index = first + tl.arange(0, BLOCK_S)
    inside = index < sequences
    length = tl.load(lengths_ptr + index, mask=inside, other=0).to(tl.int64)
    member = inside
    if not ONE_GROUP:
        member = inside & (tl.load(groups_ptr + index, mask=inside, other=0) == key)
    weight = member.to(tl.float64)
    if TOKEN_WEIGHTED:
        weight = weight * length.to(tl.float64)
    reward = tl.load(rewards_ptr + index, mask=member, other=0.0).to(tl.float64)
    return index, length, member, weight, tl.where(member, reward - mine, 0.0)


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
    BLOCK_S: tl.constexpr,
    BLOCK_N: tl.constexpr,
) -> None:
    """One sequence per program: its group's statistics, its advantage, its tokens."""
    row = tl.program_id(0)
    mine = tl.load(rewards_ptr + row).to(tl.float64)
    own_length = tl.load(lengths_ptr + row).to(tl.int32)
    key = tl.load(groups_ptr + row)
    begin = tl.zeros([BLOCK_S], tl.int64)
    members = tl.zeros([BLOCK_S], tl.int32)
    weights = tl.zeros([BLOCK_S], tl.float64)
    deltas = tl.zeros([BLOCK_S], tl.float64)
    for first in range(0, sequences, BLOCK_S):
        index, length, member, weight, delta = _look(
            first, rewards_ptr, groups_ptr, lengths_ptr, sequences, mine, key,
            ONE_GROUP, TOKEN_WEIGHTED, BLOCK_S,
        )  # fmt: skip
        begin += tl.where(index < row, length, 0)
        members += member.to(tl.int32)
        weights += weight
        deltas += weight * delta
    count = tl.sum(members, 0)
    total = tl.sum(weights, 0)
    delta_sum = tl.sum(deltas, 0)
    if LEAVE_ONE_OUT:
        # reward - (sum of the others) / (count - 1), written in differences.
        advantage = -delta_sum / tl.maximum(count - 1, 1).to(tl.float64)
    else:
        mean = delta_sum / tl.where(total > 0, total, 1.0)
        advantage = -mean
        if SCALED:
            squares = tl.zeros([BLOCK_S], tl.float64)
            for first in range(0, sequences, BLOCK_S):
                index, length, member, weight, delta = _look(
                    first, rewards_ptr, groups_ptr, lengths_ptr, sequences, mine, key,
                    ONE_GROUP, TOKEN_WEIGHTED, BLOCK_S,
                )  # fmt: skip
                squares += weight * (delta - mean) * (delta - mean)
            deviation = tl.sqrt(tl.sum(squares, 0) / tl.where(total > 0, total, 1.0))
            spread = deviation > 1e-12 * tl.maximum(tl.abs(mine + mean), 1.0)
            advantage = tl.where(spread, advantage / tl.where(spread, deviation, 1.0), 0.0)
    # A group of one has no difference but 0 and needs no case of its own.
    _fill(advantage_ptr, tl.sum(begin, 0), own_length, advantage.to(tl.float32), BLOCK_N)


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
    end = skew + length
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
    config = CONFIGS["default"]
    advantage_tokens[(rewards_S.numel(),)](
        rewards_S,
        groups_S,
        lengths_S,
        advantage_N,
        rewards_S.numel(),
        ONE_GROUP=one_group,
        TOKEN_WEIGHTED=token_weighted,
        LEAVE_ONE_OUT=leave_one_out,
        SCALED=scaled,
        BLOCK_S=config.block_s,
        BLOCK_N=config.block_n,
        num_warps=config.num_warps,
    )
