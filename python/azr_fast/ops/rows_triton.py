"""Rows of logits on a GPU: the Triton kernels behind the protocol of `rows`.

Its methods import triton. Suffixes: C tokens of a chunk, V vocabulary, H hidden width.
"""

from __future__ import annotations

import torch

from azr_fast.ops.dispatch import on_device_of, triton_kernel
from azr_fast.ops.objective import TokenObjective
from azr_fast.ops.statistics import RowStatistics


class TritonRows:
    """One program walks one row."""

    def statistics(
        self, logits_CV: torch.Tensor, targets_C: torch.Tensor, scale_C: torch.Tensor
    ) -> RowStatistics:
        """See `Rows`."""
        result_4C = scale_C.new_empty(4, scale_C.numel())
        with on_device_of(logits_CV):
            triton_kernel("row_statistics").launch(logits_CV, targets_C, scale_C, result_4C)
        return RowStatistics(*result_4C)

    def policy_loss(
        self,
        logits_CV: torch.Tensor,
        targets_C: torch.Tensor,
        scale_C: torch.Tensor,
        objective: TokenObjective,
        results_6C: torch.Tensor,
        d_logits_CV: torch.Tensor | None = None,
    ) -> None:
        """See `Rows`."""
        if d_logits_CV is None:
            d_logits_CV = logits_CV
        with on_device_of(logits_CV):
            triton_kernel("linear_policy_loss").launch(
                logits_CV, d_logits_CV, targets_C, scale_C, objective, results_6C
            )

    def head_statistics(
        self,
        hidden_CH: torch.Tensor,
        weight_VH: torch.Tensor,
        targets_C: torch.Tensor,
        scale_C: torch.Tensor,
    ) -> RowStatistics:
        """Of hidden · weightᵀ, whose logits are not written; both are bfloat16, on a GPU."""
        kernel = triton_kernel("linear_logprob")
        programs = _multiprocessors(hidden_CH.device)
        with on_device_of(hidden_CH):
            result_4C = kernel.statistics(
                hidden_CH, weight_VH, targets_C, scale_C, kernel.CONFIG, programs
            )
        return RowStatistics(*result_4C)


def _multiprocessors(device: torch.device) -> int:
    """One where kernels are interpreted."""
    if device.type != "cuda":
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count
