"""Attention over a pack as plain products, tile by tile: what CPUs are fastest with.

Work and memory grow with the token pairs that see each other, not with the square of the pack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from azr_fast.policy.packing import Segment

QUERY_TILE = 256  # bounds the masked half of a score tile that is computed in vain


def segment_attention(
    query_QTD: torch.Tensor,
    key_KTD: torch.Tensor,
    value_KTD: torch.Tensor,
    segments: Sequence[Segment],
    scale: float,
) -> torch.Tensor:
    """Attention output [T, Q, D] of Q query heads over K key heads (Q a multiple of K).

    `segments` tile [0, T) in order. Scores and probabilities have the inputs' dtype; the softmax is
    computed in fp32 or wider.
    """
    output: torch.Tensor = _MatmulAttention.apply(  # type: ignore[no-untyped-call]
        query_QTD, key_KTD, value_KTD, segments, scale
    )
    return output


def _tiles(segments: Sequence[Segment]) -> Iterator[tuple[slice, list[slice]]]:
    """Tiles as (queries, ranges of keys).

    The last queries.stop - queries.start of the keys are the queries' own tokens, seen causally;
    all queries see all keys before those.
    """
    for begin, end, prefix in segments:
        for first in range(begin, end, QUERY_TILE):
            last = min(first + QUERY_TILE, end)
            yield slice(first, last), [slice(*ends) for ends in (*prefix, (begin, last))]


def _seen(tensor_KTD: torch.Tensor, ranges: Sequence[slice]) -> torch.Tensor:
    return torch.cat([tensor_KTD[:, keys] for keys in ranges], 1)


def _add_back(total_KTD: torch.Tensor, part_KSD: torch.Tensor, ranges: Sequence[slice]) -> None:
    """Add what `_seen` would take from `ranges` of a gradient to those ranges."""
    begin = 0
    for keys in ranges:
        width = keys.stop - keys.start
        total_KTD[:, keys] += part_KSD[:, begin : begin + width]
        begin += width


class _MatmulAttention(torch.autograd.Function):
    """On a CPU that multiplies bf16 these products are several times faster than torch's fused
    kernel, and gradients of a tile go straight to their place.

    The backward pass computes a tile's probabilities again. Kept from the forward pass they would
    be the second largest part of what a pack holds: heads * keys seen * 2 bytes a token and layer.

    Inside, queries are [K, T, G, D]: the G query heads of a key head lie side by side, so that a
    tile of L tokens is one [L * G, D] matrix against the keys.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query_QTD: torch.Tensor,
        key_KTD: torch.Tensor,
        value_KTD: torch.Tensor,
        segments: Sequence[Segment],
        scale: float,
    ) -> torch.Tensor:
        query_KTGD = _group_heads(query_QTD, key_KTD.shape[0]).mul_(scale)
        output_KTGD = torch.empty_like(query_KTGD)
        for queries, keys in _tiles(segments):
            share_KRS = _shares(query_KTGD[:, queries], _seen(key_KTD, keys))
            value_KSD = _seen(value_KTD, keys)
            output_KTGD[:, queries] = torch.bmm(share_KRS, value_KSD).view_as(
                query_KTGD[:, queries]
            )
        ctx.save_for_backward(query_KTGD, key_KTD, value_KTD)
        ctx.segments, ctx.scale = segments, scale
        return output_KTGD.transpose(0, 1).flatten(1, 2)

    @staticmethod
    def backward(
        ctx: Any,
        d_output_TQD: torch.Tensor,
    ) -> tuple[torch.Tensor | None, ...]:
        query_KTGD, key_KTD, value_KTD = ctx.saved_tensors
        d_output_KTGD = _group_heads(d_output_TQD.transpose(0, 1), key_KTD.shape[0])
        d_query_KTGD = torch.empty_like(query_KTGD)
        d_key_KTD, d_value_KTD = (
            torch.zeros_like(key_KTD, dtype=torch.promote_types(key_KTD.dtype, torch.float32))
            for _ in range(2)
        )  # a prompt gathers from all that hangs from it
        for queries, keys in _tiles(ctx.segments):
            key_KSD = _seen(key_KTD, keys)
            share_KRS = _shares(query_KTGD[:, queries], key_KSD)
            d_tile_KRD = d_output_KTGD[:, queries].flatten(1, 2)
            d_share_KRS = torch.bmm(d_tile_KRD, _seen(value_KTD, keys).mT)
            d_scores_KRS = torch._softmax_backward_data(d_share_KRS, share_KRS, -1, share_KRS.dtype)
            d_query = torch.bmm(d_scores_KRS, key_KSD)
            d_query_KTGD[:, queries] = d_query.view_as(query_KTGD[:, queries])
            tile_KRD = query_KTGD[:, queries].flatten(1, 2)
            for total_KTD, left_KRS, right_KRD in (
                (d_key_KTD, d_scores_KRS, tile_KRD),
                (d_value_KTD, share_KRS, d_tile_KRD),
            ):
                _add_back(total_KTD, torch.bmm(left_KRS.mT, right_KRD), keys)
        d_query_QTD = d_query_KTGD.mul_(ctx.scale).transpose(1, 2).flatten(0, 1)
        return d_query_QTD, d_key_KTD.to(key_KTD), d_value_KTD.to(value_KTD), None, None


def _shares(tile_KLGD: torch.Tensor, key_KSD: torch.Tensor) -> torch.Tensor:
    """Probabilities [K, L * G, S] of a tile of L tokens, which are the last of the S keys."""
    scores_KRS = torch.bmm(tile_KLGD.flatten(1, 2), key_KSD.mT)
    _hide_future(scores_KRS, tile_KLGD.shape[1])
    return torch.softmax(scores_KRS, -1)


def _group_heads(heads_QTD: torch.Tensor, key_heads: int) -> torch.Tensor:
    """[Q, T, D] → a new, contiguous [K, T, Q / K, D]."""
    tokens, width = heads_QTD.shape[1:]
    grouped = heads_QTD.reshape(key_heads, -1, tokens, width).transpose(1, 2)
    return grouped.clone(memory_format=torch.contiguous_format)


def _hide_future(scores_KRS: torch.Tensor, length: int) -> None:
    """Of the last `length` keys, each of the `length` queries sees those up to its own."""
    hidden_LL = torch.ones(length, length, dtype=torch.bool, device=scores_KRS.device).triu_(1)
    key_heads, rows, keys = scores_KRS.shape
    own_KLGL = scores_KRS.view(key_heads, length, rows // length, keys)[..., -length:]
    own_KLGL.masked_fill_(hidden_LL[:, None], float("-inf"))
