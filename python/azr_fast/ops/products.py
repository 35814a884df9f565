"""The products of a head. What they are made of differs by device: a CPU's bf16 product (oneDNN)
rounds its result to bf16, a GPU's (cuBLAS) can leave it in fp32.

On a GPU logits stay fp32, so log-probabilities keep the precision of the inputs, and d logits are
written as bf16 over the logits' own memory for the two products that read them; d weight is summed
by the product itself, in fp32. That is what torch 2.10 and later offer as `out_dtype`.

Suffixes: H hidden width, V vocabulary, C tokens of a chunk, B words of a block.
"""

from __future__ import annotations

import torch

BLOCK = 16384  # words whose d weight is computed at a time on a CPU
ALIGN = 64  # elements: a GPU's rows of logits begin at full memory sectors, whatever V is


def _mixed(factor: torch.Tensor) -> bool:
    return factor.is_cuda and factor.dtype == torch.bfloat16


def new_logits(hidden_NH: torch.Tensor, rows: int, vocabulary: int) -> torch.Tensor:
    """An uninitialised buffer [rows, V] for `logits`."""
    if not hidden_NH.is_cuda:
        return hidden_NH.new_empty(rows, vocabulary)
    dtype = torch.float32 if _mixed(hidden_NH) else hidden_NH.dtype
    padded = -(-vocabulary // ALIGN) * ALIGN
    return hidden_NH.new_empty(rows, padded, dtype=dtype)[:, :vocabulary]


def logits(hidden_CH: torch.Tensor, weight_VH: torch.Tensor, out_CV: torch.Tensor) -> None:
    """hidden · weightᵀ."""
    if _mixed(hidden_CH):
        torch.mm(hidden_CH, weight_VH.T, out_dtype=torch.float32, out=out_CV)
    else:
        torch.mm(hidden_CH, weight_VH.T, out=out_CV)


def over(logits_CV: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Where d logits [C, V] go: into the logits' rows, from where each begins."""
    return logits_CV.view(dtype)[:, : logits_CV.shape[1]]


def d_hidden(d_logits_CV: torch.Tensor, weight_VH: torch.Tensor) -> torch.Tensor:
    """d logits · weight. cuBLAS may add parts of a sum over V in bf16, unless asked for fp32."""
    if _mixed(d_logits_CV):
        product_CH = torch.mm(d_logits_CV, weight_VH, out_dtype=torch.float32)
        return product_CH.to(weight_VH.dtype)
    return d_logits_CV @ weight_VH


def add_d_weight(
    d_weight_VH: torch.Tensor, d_logits_CV: torch.Tensor, hidden_CH: torch.Tensor
) -> None:
    """d weight += d logitsᵀ · hidden."""
    if _mixed(hidden_CH):
        torch.addmm(d_weight_VH, d_logits_CV.T, hidden_CH, out_dtype=torch.float32, out=d_weight_VH)
    elif hidden_CH.is_cuda:
        d_weight_VH.addmm_(d_logits_CV.T, hidden_CH)
    else:
        _add_by_blocks(d_weight_VH, d_logits_CV, hidden_CH)


def _add_by_blocks(
    d_weight_VH: torch.Tensor, d_logits_CV: torch.Tensor, hidden_CH: torch.Tensor
) -> None:
    """By blocks of words: as fast, and no second [V, H]."""
    product_BH = hidden_CH.new_empty(min(BLOCK, d_weight_VH.shape[0]), hidden_CH.shape[1])
    for begin in range(0, d_weight_VH.shape[0], BLOCK):
        d_logits_BC = d_logits_CV[:, begin : begin + BLOCK].T
        product = torch.mm(d_logits_BC, hidden_CH, out=product_BH[: d_logits_BC.shape[0]])
        d_weight_VH[begin : begin + BLOCK] += product
