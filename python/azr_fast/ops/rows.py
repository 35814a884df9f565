"""What happens to a chunk of logits: statistics of each row, and logits → gradient in place.

Two implementations behind one protocol. `TorchRows` is the oracle and runs on any device;
`CpuRows` is the C++ kernel, one pass over rows that stay in the cache.
"""

from __future__ import annotations

from typing import Protocol

import torch

from azr_fast.errors import UserError
from azr_fast.ops.statistics import RowStatistics

try:
    from azr_fast import _kernels
except ImportError:  # a source tree that was not built: the torch rows still work
    _kernels = None  # type: ignore[assignment]


class Rows(Protocol):
    """Works on logits [C, V] (bfloat16 or float32); per-row tensors are float32, targets int64.

    Logits are divided by their row's temperature (`scale` = 1 / temperature) before the softmax.
    """

    def statistics(
        self, logits_CV: torch.Tensor, targets_C: torch.Tensor, scale_C: torch.Tensor
    ) -> RowStatistics:
        """What log-probability and entropy of each row follow from; the logits stay."""

    def policy_loss(
        self,
        logits_CV: torch.Tensor,
        targets_C: torch.Tensor,
        coefficient_C: torch.Tensor,
        entropy_weight_C: torch.Tensor,
        scale_C: torch.Tensor,
        logp_C: torch.Tensor,
        entropy_C: torch.Tensor,
    ) -> None:
        """Write log-probability and entropy (nats) of each row, and overwrite the logits with
        d loss / d logits of loss = -sum(coefficient * logp + entropy_weight * entropy).
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
        coefficient_C: torch.Tensor,
        entropy_weight_C: torch.Tensor,
        scale_C: torch.Tensor,
        logp_C: torch.Tensor,
        entropy_C: torch.Tensor,
    ) -> None:
        """See `Rows`. With p = softmax(z): d logp_t / dz_j = [j = t] - p_j and
        d entropy / dz_j = -p_j (log p_j + entropy).
        """
        logp_CV = torch.log_softmax(logits_CV.float() * scale_C[:, None], 1)
        p_CV = logp_CV.exp()
        target = targets_C[:, None]
        logp_C.copy_(logp_CV.gather(1, target)[:, 0])
        torch.neg((p_CV * logp_CV).sum(1), out=entropy_C)
        grad_CV = logp_CV.add_(entropy_C[:, None]).mul_(entropy_weight_C[:, None])
        grad_CV.add_(coefficient_C[:, None]).mul_(p_CV)
        grad_CV.scatter_add_(1, target, -coefficient_C[:, None])
        logits_CV.copy_(grad_CV.mul_(scale_C[:, None]))


class CpuRows:
    """The C++ kernel, on as many threads as torch uses."""

    def statistics(
        self, logits_CV: torch.Tensor, targets_C: torch.Tensor, scale_C: torch.Tensor
    ) -> RowStatistics:
        """See `Rows`."""
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
        coefficient_C: torch.Tensor,
        entropy_weight_C: torch.Tensor,
        scale_C: torch.Tensor,
        logp_C: torch.Tensor,
        entropy_C: torch.Tensor,
    ) -> None:
        """See `Rows`."""
        _kernels.policy_loss_rows(
            logits_CV,
            targets_C,
            coefficient_C,
            entropy_weight_C,
            scale_C,
            logp_C,
            entropy_C,
            torch.get_num_threads(),
        )


def choose_rows(name: str, device: torch.device) -> Rows:
    """`auto` is `cpu` for tensors on a CPU when the kernels are built, else `torch`.

    Raises UserError when `cpu` is asked for and cannot be had.
    """
    if name == "auto":
        name = "cpu" if device.type == "cpu" and _kernels is not None else "torch"
    if name == "torch":
        return TorchRows()
    assert name == "cpu", name
    if device.type != "cpu":
        raise UserError(f"loss = cpu does not work on {device.type}: set update.loss to auto")
    if _kernels is None:
        raise UserError(
            "azr_fast._kernels is not built: run pip install ., or set update.loss = torch"
        )
    return CpuRows()
