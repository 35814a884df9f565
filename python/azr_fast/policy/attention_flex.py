"""Attention over a pack in one kernel: torch's FlexAttention (arXiv 2412.05496) with a tree mask.

The mask of a pack is made once and shared by all layers. The kernel is compiled for a few sizes;
a pack is padded to the next one by tokens that see themselves alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from azr_fast.policy.attention_tree import blocks, last_seers, padded
from azr_fast.policy.packing import Segment

BLOCK = 128  # tokens; FlexAttention's own default
SMALLEST = 1024  # tokens a kernel is compiled for; larger sizes are twice the last
LEAST_WIDTH = 16  # of a head: the smallest side of a product in Triton


class FlexTree:
    """Attention over one pack, for all layers."""

    def __init__(self, segments: Sequence[Segment], device: torch.device) -> None:
        self._tokens = segments[-1].end
        self._size = kernel_size(self._tokens)
        self._mask = tree_mask(padded(last_seers(segments), self._size).to(device))

    def __call__(
        self,
        query_QTD: torch.Tensor,
        key_KTD: torch.Tensor,
        value_KTD: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        """Attention output [T, Q, D] of Q query heads over K key heads (Q a multiple of K)."""
        more = self._size - self._tokens
        query, key, value = (
            torch.nn.functional.pad(heads, (0, 0, 0, more))[None]
            for heads in (query_QTD, key_KTD, value_KTD)
        )
        kernel: Any = compiled() if query.is_cuda else flex_attention
        output = kernel(query, key, value, block_mask=self._mask, scale=scale, enable_gqa=True)
        output_TQD: torch.Tensor = output[0, :, : self._tokens].transpose(0, 1)
        return output_TQD


def kernel_size(tokens: int) -> int:
    """The size that a pack of so many tokens is padded to."""
    return int(max(SMALLEST, 1 << (tokens - 1).bit_length()))


def tree_mask(last_T: torch.Tensor) -> BlockMask:
    """The mask of a pack whose token k is seen by tokens k to last[k] - 1.

    Blocks that nobody sees are skipped, and those in which all see all are computed without a mask.
    T is a multiple of BLOCK.
    """
    parts = blocks(last_T, BLOCK)
    return BlockMask.from_kv_blocks(
        *_ordered(parts.some_BB), *_ordered(parts.all_BB), BLOCK_SIZE=BLOCK, mask_mod=_sees(last_T)
    )


def _sees(last_T: torch.Tensor) -> Callable[..., torch.Tensor]:
    def sees(
        _batch: torch.Tensor, _head: torch.Tensor, query: torch.Tensor, key: torch.Tensor
    ) -> torch.Tensor:
        return (key <= query) & (query < last_T[key])

    return sees


def _ordered(wanted_BB: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """FlexAttention's form of a set of blocks: of each row, how many, and their columns first."""
    columns_BB = wanted_BB.int().argsort(dim=1, descending=True, stable=True).int()
    return wanted_BB.sum(1, dtype=torch.int32)[None, None], columns_BB[None, None]


@cache
def compiled(backend: str | Callable[..., Any] = "inductor") -> Callable[..., Any]:
    """The kernel, compiled at its first call for each size, with gradient and without.

    Beyond a number of compilations torch would go on without compiling and hold the square of the
    pack, so that number is raised, and reaching it is an error (`fullgraph`).
    """
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, 64)
    return torch.compile(flex_attention, backend=backend, dynamic=False, fullgraph=True)
