"""Attention over a flat pack, a row of sequences, in a flash kernel for sequences of any lengths.

A pack is flat where no two answers share a beginning: the kernel then needs no mask. It comes from
the `flash-attn` extra, or else from torch (2.10 and later).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import torch

LARGEST_WIDTH = 256  # of a head, in both kernels
Kernel = Callable[..., torch.Tensor]


def has_varlen(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether a flash kernel takes heads of this width and dtype: NVIDIA's Ampere and later."""
    return (
        device.type == "cuda"
        and dtype in (torch.bfloat16, torch.float16)
        and width <= LARGEST_WIDTH
        and width % 8 == 0
        and torch.cuda.get_device_capability(device) >= (8, 0)
        and varlen_kernel() is not None
    )


class FlatPack:
    """Attention over one flat pack, for all layers."""

    def __init__(self, starts: Sequence[int], device: torch.device) -> None:
        self._starts = torch.tensor(starts, dtype=torch.int32, device=device)
        self._longest = max(end - begin for begin, end in pairwise(starts))

    def __call__(
        self,
        query_QTD: torch.Tensor,
        key_KTD: torch.Tensor,
        value_KTD: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        """Attention output [T, Q, D] of Q query heads over K key heads (Q a multiple of K)."""
        kernel = varlen_kernel()
        assert kernel is not None
        rows = (heads.transpose(0, 1) for heads in (query_QTD, key_KTD, value_KTD))
        lengths = (self._starts, self._starts, self._longest, self._longest)
        return kernel(*rows, *lengths, scale)


@cache
def varlen_kernel() -> Kernel | None:
    """(query_TQD, key_TKD, value_TKD, starts, starts, longest, longest, scale) → output_TQD."""
    try:
        from flash_attn import flash_attn_varlen_func
    except ImportError:
        return _of_torch()
    return lambda *inputs: flash_attn_varlen_func(*inputs[:7], softmax_scale=inputs[7], causal=True)


def _of_torch() -> Kernel | None:
    """torch's kernel. Its options grew: 2.10 has no scale, 2.11 takes fewer key heads unasked."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters
    if "scale" not in known:
        return None
    options: dict[str, Any] = {"window_size": (-1, 0)}  # causal
    if "enable_gqa" in known:
        options["enable_gqa"] = True

    def attend(*inputs: Any) -> torch.Tensor:
        output = varlen_attn(*inputs[:7], scale=inputs[7], **options)
        assert isinstance(output, torch.Tensor)  # no log-sum-exp was asked for
        return output

    return attend
