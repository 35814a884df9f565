"""The language model's head as both of its operations take it: checked, and chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from azr_fast.ops.checks import IDS, require, require_device, require_dtype, require_per_token
from azr_fast.ops.products import Products, choose_products
from azr_fast.ops.rows import Rows, choose_rows, head_statistics
from azr_fast.ops.statistics import RowStatistics

IGNORED = -100  # a target that is none, as in torch's cross_entropy


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some of the tokens that a walk keeps. The logits' buffer is reused for the next chunk."""

    index_C: torch.Tensor  # among all N tokens
    hidden_CH: torch.Tensor
    logits_CV: torch.Tensor


@dataclass(frozen=True, slots=True)
class Head:
    """Distributions softmax(hidden · weightᵀ * scale) and targets; `checked_head` makes it."""

    hidden_NH: torch.Tensor
    weight_VH: torch.Tensor
    targets_N: torch.Tensor  # int64
    scale_N: torch.Tensor  # float32, 1 / temperature
    rows: Rows
    products: Products
    chunk: int

    def chunks(self, kept_N: torch.Tensor) -> Iterator[Chunk]:
        """Those tokens that `kept_N` names and whose targets are not ignored, in order."""
        parts = self._parts(kept_N)
        rows = max((part.numel() for part in parts), default=0)
        buffer_CV = self.products.new_logits(self.hidden_NH, rows, self.weight_VH.shape[0])
        for index_C in parts:
            hidden_CH = self.hidden_NH[index_C]
            logits_CV = buffer_CV[: hidden_CH.shape[0]]
            self.products.logits(hidden_CH, self.weight_VH, logits_CV)
            yield Chunk(index_C, hidden_CH, logits_CV)

    def statistics(self) -> Iterator[tuple[torch.Tensor, RowStatistics]]:
        """Of all tokens whose targets are not ignored, in order: indices and statistics."""
        all_N = torch.ones_like(self.targets_N, dtype=torch.bool)
        fused = head_statistics(self.rows, self.hidden_NH.dtype)
        if fused is None:
            for chunk in self.chunks(all_N):
                per_row = self.targets_N[chunk.index_C], self.scale_N[chunk.index_C]
                yield chunk.index_C, self.rows.statistics(chunk.logits_CV, *per_row)
            return
        for index_C in self._parts(all_N):
            per_row = self.targets_N[index_C], self.scale_N[index_C]
            yield index_C, fused(self.hidden_NH[index_C], self.weight_VH, *per_row)

    def _parts(self, kept_N: torch.Tensor) -> list[torch.Tensor]:
        """Indices of the kept tokens with a target, in chunks of about the same size."""
        kept_K = (kept_N & (self.targets_N != IGNORED)).nonzero()[:, 0]
        count = -(-kept_K.numel() // self.chunk)
        return list(kept_K.tensor_split(count)) if count else []


def checked_head(
    hidden_NH: torch.Tensor,
    weight_VH: torch.Tensor,
    targets_N: torch.Tensor,
    temperature: float | torch.Tensor,
    implementation: str,
    chunk: int | None,
) -> Head:
    """ValueError, before anything is computed, for what would give a wrong number."""
    _check_products(hidden_NH, weight_VH)
    require_dtype("targets", targets_N, IDS)
    require(targets_N.shape == hidden_NH.shape[:1], "one target per hidden state is needed")
    require_device(hidden_NH.device, weight=weight_VH, targets=targets_N)
    targets_N = targets_N.long()
    _check_range(targets_N, weight_VH.shape[0])
    products = choose_products(implementation, hidden_NH)
    chunk = products.chunk(weight_VH.shape[0]) if chunk is None else chunk
    require(chunk > 0, f"chunk must be positive, not {chunk}")
    scale_N = _scales(temperature, targets_N)
    rows = choose_rows(implementation, hidden_NH.device)
    return Head(hidden_NH, weight_VH, targets_N, scale_N, rows, products, chunk)


def _check_products(hidden_NH: torch.Tensor, weight_VH: torch.Tensor) -> None:
    require(hidden_NH.ndim == weight_VH.ndim == 2, "hidden and weight must have two dimensions")
    require(hidden_NH.shape[1] == weight_VH.shape[1], "hidden and weight differ in width")
    require(hidden_NH.dtype == weight_VH.dtype, "hidden and weight differ in dtype")
    require_dtype("hidden", hidden_NH, (torch.bfloat16, torch.float32))


def _check_range(targets_N: torch.Tensor, vocabulary: int) -> None:
    outside_N = ((targets_N < 0) | (targets_N >= vocabulary)) & (targets_N != IGNORED)
    if outside_N.any():
        low, high = (bound.item() for bound in torch.aminmax(targets_N[targets_N != IGNORED]))
        raise ValueError(
            f"targets must lie in [0, {vocabulary}) or be {IGNORED}, not {low} … {high}"
        )


def _scales(temperature: float | torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    message = "temperatures must be positive and finite"
    if not isinstance(temperature, torch.Tensor):
        limits = torch.finfo(torch.float32)
        require(limits.tiny <= temperature <= limits.max, message)
        return torch.full_like(targets_N, 1 / temperature, dtype=torch.float32)
    require_per_token("temperature", temperature, targets_N)
    require(not temperature.requires_grad, "temperature is not differentiable: detach it")
    scale_N = temperature.reciprocal()
    require(bool(((scale_N > 0) & scale_N.isfinite()).all()), message)
    return scale_N
