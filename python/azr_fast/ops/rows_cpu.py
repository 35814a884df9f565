"""Rows on a CPU: the C++ kernels, one pass over rows that stay in the cache (csrc/cpu)."""

from __future__ import annotations

import torch

from azr_fast import _kernels
from azr_fast.ops.objective import TokenObjective
from azr_fast.ops.statistics import RowStatistics


class CpuRows:
    """The C++ kernels, on as many threads as torch uses."""

    def statistics(
        self, logits_CV: torch.Tensor, targets_C: torch.Tensor, scale_C: torch.Tensor
    ) -> RowStatistics:
        """See `rows.Rows`."""
        result = RowStatistics(*torch.empty(4, logits_CV.shape[0]))
        _kernels.statistics_rows(
            logits_CV,
            targets_C,
            scale_C,
            result.shift_N,
            result.exp_N,
            result.y_exp_N,
            result.target_y_N,
            torch.get_num_threads(),
        )
        return result

    def policy_loss(
        self,
        logits_CV: torch.Tensor,
        targets_C: torch.Tensor,
        scale_C: torch.Tensor,
        objective: TokenObjective,
        results_6C: torch.Tensor,
        d_logits_CV: torch.Tensor | None = None,
    ) -> None:
        """See `rows.Rows`."""
        _kernels.policy_loss_rows(
            logits_CV,
            targets_C,
            scale_C,
            objective.per_token_7N,
            results_6C,
            logits_CV if d_logits_CV is None else d_logits_CV,
            objective.correction,
            objective.dual,
            objective.cap,
            objective.kl_weight,
            objective.has_reference,
            torch.get_num_threads(),
        )
