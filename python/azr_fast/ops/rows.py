"""What happens to a chunk of logits: statistics of each row, and logits → gradient in place.

Two implementations behind one protocol. `TorchRows` is the oracle and runs on any device;
`CpuRows` is the C++ kernel, one pass over rows that stay in the cache.
"""

from __future__ import annotations

from typing import Protocol

import torch

from azr_fast.errors import UserError

try:
    from azr_fast import _kernels
except ImportError:  # a source tree that was not built: the torch rows still work
    _kernels = None  # type: ignore[assignment]


class Rows(Protocol):
    """Works on logits [C, V] (bfloat16 or float32); per-row tensors are float32, targets int64.

    Logits are divided by the temperature (`scale` = 1 / temperature) before the softmax.
    """

    def logprob(
        self, logits_CV: torch.Tensor, targets_C: torch.Tensor, scale: float, logp_C: torch.Tensor
    ) -> None:
        """Write the log-probability of each row's target into `logp_C`."""

    def policy_loss(
        self,
        logits_CV: torch.Tensor,
        targets_C: torch.Tensor,
        coefficient_C: torch.Tensor,
        entropy_weight_C: torch.Tensor,
        scale: float,
        logp_C: torch.Tensor,
        entropy_C: torch.Tensor,
    ) -> None:
        """Write log-probability and entropy (nats) of each row, and overwrite the logits with
        d loss / d logits of loss = -sum(coefficient * logp + entropy_weight * entropy).
        """


class TorchRows:
    """The formulas, in fp32."""

    def logprob(
        self, logits_CV: torch.Tensor, targets_C: torch.Tensor, scale: float, logp_C: torch.Tensor
    ) -> None:
        """See `Rows`."""
        scaled_CV = logits_CV.float() * scale
        target_C = scaled_CV.gather(1, targets_C[:, None])[:, 0]
        torch.sub(target_C, torch.logsumexp(scaled_CV, 1), out=logp_C)

    def policy_loss(
        self,
        logits_CV: torch.Tensor,
        targets_C: torch.Tensor,
        coefficient_C: torch.Tensor,
        entropy_weight_C: torch.Tensor,
        scale: float,
        logp_C: torch.Tensor,
        entropy_C: torch.Tensor,
    ) -> None:
        """See `Rows`. With p = softmax(z): d logp_t / dz_j = [j = t] - p_j and
        d entropy / dz_j = -p_j (log p_j + entropy).
        """
        logp_CV = torch.log_softmax(logits_CV.float() * scale, 1)
        p_CV = logp_CV.exp()
        target = targets_C[:, None]
        logp_C.copy_(logp_CV.gather(1, target)[:, 0])
        torch.neg((p_CV * logp_CV).sum(1), out=entropy_C)
        grad_CV = logp_CV.add_(entropy_C[:, None]).mul_(entropy_weight_C[:, None])
        grad_CV.add_(coefficient_C[:, None]).mul_(p_CV)
        grad_CV.scatter_add_(1, target, -coefficient_C[:, None])
        logits_CV.copy_(grad_CV.mul_(scale))


class CpuRows:
    """The C++ kernel, on as many threads as torch uses."""

    def logprob(
        self, logits_CV: torch.Tensor, targets_C: torch.Tensor, scale: float, logp_C: torch.Tensor
    ) -> None:
        """See `Rows`."""
        _kernels.logprob_rows(logits_CV, targets_C, scale, logp_C, torch.get_num_threads())

    def policy_loss(
        self,
        logits_CV: torch.Tensor,
        targets_C: torch.Tensor,
        coefficient_C: torch.Tensor,
        entropy_weight_C: torch.Tensor,
        scale: float,
        logp_C: torch.Tensor,
        entropy_C: torch.Tensor,
    ) -> None:
        """See `Rows`."""
        _kernels.policy_loss_rows(
            logits_CV,
            targets_C,
            coefficient_C,
            entropy_weight_C,
            scale,
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
