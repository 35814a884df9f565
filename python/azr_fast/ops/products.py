"""The products of a head: hidden · weightᵀ, d logits · weight and d logitsᵀ · hidden.

Of bfloat16 inputs, those of a GPU (cuBLAS) and our own on a CPU with AVX-512-BF16 leave sums in
fp32: logits stay fp32, so log-probabilities keep the precision of the inputs, d logits are written
as bf16 over the logits' own memory, and d weight is summed by the product itself. torch's on a CPU
(oneDNN) round each result to the inputs' dtype.

Suffixes: H hidden width, V vocabulary, C tokens of a chunk, B words of a block.
"""

from __future__ import annotations

from typing import Protocol

import torch

from azr_fast.ops.dispatch import KERNELS_BUILT, choose

LOGITS = 4096 * 152064  # of a chunk, on a GPU
BLOCK = 16384  # words whose d weight torch computes at a time on a CPU


class Products(Protocol):
    """One implementation of the three."""

    def chunk(self, vocabulary: int) -> int:
        """How many tokens at a time suit it."""

    def new_logits(self, hidden_NH: torch.Tensor, rows: int, vocabulary: int) -> torch.Tensor:
        """An uninitialised buffer [rows, V] for `logits`; its rows may lie further apart."""

    def logits(
        self, hidden_CH: torch.Tensor, weight_VH: torch.Tensor, out_CV: torch.Tensor
    ) -> None:
        """hidden · weightᵀ."""

    def d_hidden(self, d_logits_CV: torch.Tensor, weight_VH: torch.Tensor) -> torch.Tensor:
        """d logits · weight, in weight's dtype."""

    def add_d_weight(
        self, d_weight_VH: torch.Tensor, d_logits_CV: torch.Tensor, hidden_CH: torch.Tensor
    ) -> None:
        """d weight += d logitsᵀ · hidden."""


class TorchProducts:
    """torch's, in the inputs' dtype."""

    def chunk(self, vocabulary: int) -> int:
        """See `Products`."""
        return 1024  # large enough for full speed

    def new_logits(self, hidden_NH: torch.Tensor, rows: int, vocabulary: int) -> torch.Tensor:
        """See `Products`."""
        return _wide_rows(hidden_NH, rows, vocabulary, hidden_NH.dtype)

    def logits(
        self, hidden_CH: torch.Tensor, weight_VH: torch.Tensor, out_CV: torch.Tensor
    ) -> None:
        """See `Products`."""
        torch.mm(hidden_CH, weight_VH.T, out=out_CV)

    def d_hidden(self, d_logits_CV: torch.Tensor, weight_VH: torch.Tensor) -> torch.Tensor:
        """See `Products`."""
        return d_logits_CV @ weight_VH

    def add_d_weight(
        self, d_weight_VH: torch.Tensor, d_logits_CV: torch.Tensor, hidden_CH: torch.Tensor
    ) -> None:
        """See `Products`. On a CPU by blocks of words: as fast, and no second [V, H]."""
        if hidden_CH.is_cuda:
            d_weight_VH.addmm_(d_logits_CV.T, hidden_CH)
            return
        product_BH = hidden_CH.new_empty(min(BLOCK, d_weight_VH.shape[0]), hidden_CH.shape[1])
        for begin in range(0, d_weight_VH.shape[0], BLOCK):
            d_logits_BC = d_logits_CV[:, begin : begin + BLOCK].T
            product = torch.mm(d_logits_BC, hidden_CH, out=product_BH[: d_logits_BC.shape[0]])
            d_weight_VH[begin : begin + BLOCK] += product


class GpuProducts:
    """cuBLAS's, from bfloat16 to fp32: what torch 2.10 and later offer as `out_dtype`."""

    def chunk(self, vocabulary: int) -> int:
        """See `Products`. Of 152,064 words 4096, as fast as 8192 and 10% faster than 2048; of
        other vocabularies so many that the logits take no more than the same 2.5 GB."""
        return max(LOGITS // vocabulary // 1024, 1) * 1024

    def new_logits(self, hidden_NH: torch.Tensor, rows: int, vocabulary: int) -> torch.Tensor:
        """See `Products`."""
        return _wide_rows(hidden_NH, rows, vocabulary, torch.float32)

    def logits(
        self, hidden_CH: torch.Tensor, weight_VH: torch.Tensor, out_CV: torch.Tensor
    ) -> None:
        """See `Products`."""
        torch.mm(hidden_CH, weight_VH.T, out_dtype=torch.float32, out=out_CV)

    def d_hidden(self, d_logits_CV: torch.Tensor, weight_VH: torch.Tensor) -> torch.Tensor:
        """See `Products`. cuBLAS may add parts of a sum over V in bf16, unless asked for fp32."""
        return torch.mm(d_logits_CV, weight_VH, out_dtype=torch.float32).to(weight_VH.dtype)

    def add_d_weight(
        self, d_weight_VH: torch.Tensor, d_logits_CV: torch.Tensor, hidden_CH: torch.Tensor
    ) -> None:
        """See `Products`."""
        torch.addmm(d_weight_VH, d_logits_CV.T, hidden_CH, out_dtype=torch.float32, out=d_weight_VH)


class CpuProducts:
    """Ours (csrc/cpu/bf16_product.cpp), from bfloat16 to fp32."""

    def __init__(self) -> None:
        from azr_fast import _kernels

        self._product = _kernels.bf16_product

    def chunk(self, vocabulary: int) -> int:
        """See `Products`."""
        return 256  # as fast as 384, within 2%, and its buffer is smaller

    def new_logits(self, hidden_NH: torch.Tensor, rows: int, vocabulary: int) -> torch.Tensor:
        """See `Products`. Of ordinary pages: with huge ones a loss takes 0.96 of the time where the
        machine has them at hand, and 1.13 where a virtual machine's host must find them first."""
        return _wide_rows(hidden_NH, rows, vocabulary, torch.float32)

    def logits(
        self, hidden_CH: torch.Tensor, weight_VH: torch.Tensor, out_CV: torch.Tensor
    ) -> None:
        """See `Products`."""
        self._run(hidden_CH, weight_VH, out_CV)

    def d_hidden(self, d_logits_CV: torch.Tensor, weight_VH: torch.Tensor) -> torch.Tensor:
        """See `Products`."""
        result_CH = d_logits_CV.new_empty(
            d_logits_CV.shape[0], weight_VH.shape[1], dtype=torch.float32
        )
        self._run(d_logits_CV, weight_VH.T, result_CH)
        return result_CH.to(weight_VH.dtype)

    def add_d_weight(
        self, d_weight_VH: torch.Tensor, d_logits_CV: torch.Tensor, hidden_CH: torch.Tensor
    ) -> None:
        """See `Products`. Where d weight's rows are not contiguous, by way of a second one."""
        sum_VH = d_weight_VH if d_weight_VH.stride(1) == 1 else d_weight_VH.contiguous()
        self._run(d_logits_CV.T, hidden_CH.T, sum_VH, add=True)
        if sum_VH is not d_weight_VH:
            d_weight_VH.copy_(sum_VH)

    def _run(
        self, a_MK: torch.Tensor, b_NK: torch.Tensor, c_MN: torch.Tensor, add: bool = False
    ) -> None:
        a_MK, b_NK = (t.detach() if 1 in t.stride() else t.contiguous() for t in (a_MK, b_NK))
        self._product(a_MK, b_NK, c_MN, add, torch.get_num_threads())


def choose_products(implementation: str, hidden_NH: torch.Tensor) -> Products:
    """What serves these hidden states under an implementation, see `dispatch.choose`."""
    chosen = choose(implementation, hidden_NH.device)
    if hidden_NH.dtype == torch.bfloat16:
        if hidden_NH.is_cuda:
            return GpuProducts()
        if chosen == "cpu" and _has_own():
            return CpuProducts()
    return TorchProducts()


def over(logits_CV: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Where d logits [C, V] go: into the logits' rows, from where each begins."""
    return logits_CV.view(dtype)[:, : logits_CV.shape[1]]


def _has_own() -> bool:
    if not KERNELS_BUILT:
        return False
    from azr_fast import _kernels

    return _kernels.has_bf16_product()


def _wide_rows(
    hidden_NH: torch.Tensor, rows: int, vocabulary: int, dtype: torch.dtype
) -> torch.Tensor:
    """Rows that begin at full memory sectors of a GPU whatever V is; on a CPU rows whose distance
    is no power of two times a page, else those of a column share few sets of the cache (a seventh
    of the time of d weight at V = 49152). What lies between rows on a CPU is 0: with AMX, oneDNN
    (v3.12; its #5603) reads rows on to a multiple of 32 and takes 0 times that for 0."""
    pad = 0 if hidden_NH.is_cuda else 32
    distance = -(-vocabulary // 64) * 64 + pad
    room = hidden_NH.new_empty(rows, distance, dtype=dtype)
    if pad:
        room[:, vocabulary:] = 0
    return room[:, :vocabulary]
