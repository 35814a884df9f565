"""Rows of logits on a GPU: the Triton kernels behind the protocol of `rows`.

Importing this imports triton. Suffixes as in `rows`, T tokens and H hidden width.
"""

from __future__ import annotations

import torch

from azr_fast.ops.dispatch import on_device_of
from azr_fast.ops.objective import TokenObjective
from azr_fast.ops.statistics import RowStatistics
from azr_fast.triton_kernels import linear_logprob, linear_policy_loss, row_statistics


class TritonRows:
    """One program walks one row."""

    def statistics(
        self, logits_CV: torch.Tensor, targets_C: torch.Tensor, scale_C: torch.Tensor
    ) -> RowStatistics:
        """See `Rows`."""
        result_4C = scale_C.new_empty(4, scale_C.numel())
        with on_device_of(logits_CV):
            row_statistics.launch(logits_CV, targets_C, scale_C, result_4C)
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
            linear_policy_loss.launch(
                logits_CV, d_logits_CV, targets_C, scale_C, objective, results_6C
            )


def head_statistics(
    hidden_TH: torch.Tensor,
    weight_VH: torch.Tensor,
    targets_T: torch.Tensor,
    scale_T: torch.Tensor,
    config: str = "wide",
) -> RowStatistics:
    """Of a head's logits that are never written: bfloat16 hidden states and weight on a GPU."""
    chosen = linear_logprob.CONFIGS[config]
    properties = torch.cuda.get_device_properties(hidden_TH.device)
    with on_device_of(hidden_TH):
        return RowStatistics(
            *linear_logprob.statistics(
                hidden_TH,
                weight_VH,
                targets_T,
                scale_T,
                chosen,
                properties.multi_processor_count * chosen.resident,
            )
        )
