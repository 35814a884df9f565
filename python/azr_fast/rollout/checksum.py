"""Checksums of weights: equal for equal weights, however an engine stores them.

A checksum is a sum over pieces of a tensor, modulo 2^64, so it does not depend on their order, and
the checksum of a fused tensor is the sum of the checksums of its parts. Zeros add nothing, so
padding does not matter. Every piece is scrambled before it is added: without that, two elements of
which one grew by a rounding step and one shrank would cancel. That rows of a tensor, or equal parts
of a fused one, have changed places is what a checksum cannot tell; the log-probs of what is sampled
do.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

# Odd constants of splitmix64 (Steele et al., OOPSLA 2014), as signed 64-bit numbers.
_FIRST, _SECOND = -4658895280553007687, -7723592293110705685
_CHUNK = 1 << 15  # words that stay in a core's cache: 1.3 GB/s, of a whole large tensor 0.2
_CHUNK_OF_A_GPU = 1 << 26  # half a gigabyte: a chunk ends in a wait for the device
_MODULUS = 1 << 64


def checksum(weight: torch.Tensor) -> int:
    """The checksum of a tensor of any shape and floating-point dtype, in [0, 2^64)."""
    pieces = _pieces(weight.detach().contiguous())
    chunk = _CHUNK if weight.device.type == "cpu" else _CHUNK_OF_A_GPU
    return sum(map(_scrambled_sum, torch.split(pieces, chunk))) % _MODULUS


def checksums(weights: Iterable[tuple[str, torch.Tensor]]) -> dict[str, int]:
    """The checksum of every named weight."""
    return {name: checksum(weight) for name, weight in weights}


def _pieces(weight: torch.Tensor) -> torch.Tensor:
    """The tensor's bits as int64 [N]: eight bytes of a row each, or one element each.

    Tensors are fused along their first dimension. Rows keep their length then, so that pieces of a
    row are the same before and after; a vector has no row to keep, and is cut into elements.
    """
    whole_rows = weight.dim() > 1 and weight.shape[-1] * weight.itemsize % 8 == 0
    if whole_rows:
        return weight.view(torch.int64).flatten()
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[weight.itemsize]
    return weight.flatten().view(integers).to(torch.int64)


def _scrambled_sum(piece_N: torch.Tensor) -> int:
    """The sum over splitmix64's finalizer of the pieces. It maps 0 to 0."""
    mixed_N = piece_N * _FIRST
    mixed_N ^= mixed_N >> 30
    mixed_N *= _SECOND
    mixed_N ^= mixed_N >> 27
    return int(mixed_N.sum())
