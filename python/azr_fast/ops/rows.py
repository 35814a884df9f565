"""What happens to a chunk of logits: statistics of each row, and logits → gradient in place.

Implementations behind one protocol. `TorchRows` is the oracle and runs on any device,
`rows_cpu.CpuRows` is the C++ kernel, `rows_triton.TritonRows` the GPU's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, cast

import torch

from azr_fast.ops.dispatch import choose
from azr_fast.ops.objective import TokenObjective, TokenResults
from azr_fast.ops.statistics import RowStatistics


class Rows(Protocol):
    """Works on logits [C, V] (bfloat16 or float32); per-row tensors are float32, targets int64.

    Logits are multiplied by their row's `scale` = 1 / temperature before the softmax. All tensors
    are on one device and checked, C and V at least 1. All are contiguous, but rows of logits may be
    further apart than V.
    """

    def statistics(
        self, logits_CV: torch.Tensor, targets_C: torch.Tensor, scale_C: torch.Tensor
    ) -> RowStatistics:
        """What log-probability and entropy of each row follow from; the logits stay."""

    def policy_loss(
        self,
        logits_CV: torch.Tensor,
        targets_C: torch.Tensor,
        scale_C: torch.Tensor,
        objective: TokenObjective,
        results_6C: torch.Tensor,
        d_logits_CV: torch.Tensor | None = None,
    ) -> None:
        """Write every element of the results, whose rows are those of `TokenResults`, and
        d loss / d logits: over the logits, or what `products.over` makes of them.
        """


class TorchRows:
    """The formulas, in fp32."""

    def statistics(
        self, logits_CV: torch.Tensor, targets_C: torch.Tensor, scale_C: torch.Tensor
    ) -> RowStatistics:
        """See `Rows`."""
        y_CV = logits_CV.float() * scale_C[:, None]
        shift_C = y_CV.amax(1)
        y_CV -= shift_C[:, None]
        exp_CV = y_CV.exp()
        target_y_C = y_CV.gather(1, targets_C[:, None])[:, 0]
        return RowStatistics(shift_C, exp_CV.sum(1), y_CV.mul_(exp_CV).sum(1), target_y_C)

    def policy_loss(
        self,
        logits_CV: torch.Tensor,
        targets_C: torch.Tensor,
        scale_C: torch.Tensor,
        objective: TokenObjective,
        results_6C: torch.Tensor,
        d_logits_CV: torch.Tensor | None = None,
    ) -> None:
        """See `Rows`. With p = softmax(z): d logp_t / dz_j = [j = t] - p_j and
        d entropy / dz_j = -p_j (log p_j + entropy).
        """
        logp_CV = torch.log_softmax(logits_CV.float() * scale_C[:, None], 1)
        p_CV = logp_CV.exp()
        target = targets_C[:, None]
        logp_C, entropy_C = logp_CV.gather(1, target)[:, 0], -(p_CV * logp_CV).sum(1)
        terms = objective.terms(logp_C, entropy_C)
        results = TokenResults(
            logp_C, entropy_C, terms.loss, terms.coefficient, terms.k3, terms.clipped.float()
        )
        torch.stack(results, out=results_6C)
        grad_CV = logp_CV.add_(entropy_C[:, None]).mul_(terms.entropy_coefficient[:, None])
        grad_CV.add_(terms.coefficient[:, None]).mul_(p_CV)
        grad_CV.scatter_add_(1, target, -terms.coefficient[:, None])
        written_CV = logits_CV if d_logits_CV is None else d_logits_CV
        written_CV.copy_(grad_CV.mul_(scale_C[:, None]))


def choose_rows(implementation: str, device: torch.device) -> Rows:
    """See `dispatch.choose`. What only some machines have is imported here and not before."""
    chosen = choose(implementation, device)
    if chosen == "torch":
        return TorchRows()
    module, name = {
        "cpu": ("azr_fast.ops.rows_cpu", "CpuRows"),
        "triton": ("azr_fast.ops.rows_triton", "TritonRows"),
    }[chosen]
    return cast(Rows, getattr(import_module(module), name)())


HeadStatistics = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], RowStatistics]


def head_statistics(rows: Rows, dtype: torch.dtype) -> HeadStatistics | None:
    """hidden [C, H], weight [V, H], targets, scale → statistics of logits that are not written:
    the GPU's kernel for bfloat16; None where there is none."""
    return getattr(rows, "head_statistics", None) if dtype == torch.bfloat16 else None
