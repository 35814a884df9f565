"""Log-probability and entropy of one target per row of given logits, differentiable.

For a head that is trained on policy, `linear_policy_loss` never makes the [T, V] logits; this is
for logits that exist anyway.

Numerics: statistics are fp32 whatever the logits' dtype, taken relative to each row's maximum.
Against fp64 on the same logits log-probabilities are good to 2e-5, entropies to 1e-4 and
gradients to 1e-5 plus their rounding to the logits' dtype (relative Frobenius errors, held by
tests/ops/test_selective_logprob.py).

Suffixes: T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch.autograd.function import once_differentiable

from azr_fast.ops.checks import IDS, require, require_device, require_dtype
from azr_fast.ops.dispatch import choose, on_device_of, triton_kernel

IGNORE_INDEX = -100  # torch's own convention


class Rows(Protocol):
    """An implementation: both functions write every element of their last arguments.

    Per-row tensors are float32 and contiguous, except the temperature, whose stride may be 0;
    logits have a column stride of 1, targets are contiguous. `top` is a row's largest logit and
    `log_sum` = ln sum(exp((logits - top) / temperature)). Rows of ignored targets give 0.
    """

    def forward(
        self,
        logits_TV: torch.Tensor,
        targets_T: torch.Tensor,
        temperature_T: torch.Tensor,
        ignore_index: int,
        logp_T: torch.Tensor,
        entropy_T: torch.Tensor,
        top_T: torch.Tensor,
        log_sum_T: torch.Tensor,
    ) -> None:
        """Write log-probability, entropy and what `backward` needs."""

    def backward(
        self,
        logits_TV: torch.Tensor,
        targets_T: torch.Tensor,
        temperature_T: torch.Tensor,
        ignore_index: int,
        entropy_T: torch.Tensor,
        top_T: torch.Tensor,
        log_sum_T: torch.Tensor,
        d_logp_T: torch.Tensor,
        d_entropy_T: torch.Tensor,
        d_logits_TV: torch.Tensor,
    ) -> None:
        """Write the gradient with respect to the logits."""


class TorchRows:
    """The formulas, in fp32: the oracle. Takes several times the logits' memory."""

    def forward(
        self,
        logits_TV: torch.Tensor,
        targets_T: torch.Tensor,
        temperature_T: torch.Tensor,
        ignore_index: int,
        logp_T: torch.Tensor,
        entropy_T: torch.Tensor,
        top_T: torch.Tensor,
        log_sum_T: torch.Tensor,
    ) -> None:
        """See `Rows`."""
        ignored_T = targets_T == ignore_index
        x_TV = logits_TV.float()
        top = x_TV.amax(1)
        below_TV = (x_TV - top[:, None]) / temperature_T[:, None]
        e_TV = below_TV.exp()
        total = e_TV.sum(1)
        # A logit of -inf has probability 0 and adds nothing to the entropy.
        moment = torch.where(e_TV > 0, e_TV * below_TV, 0.0).sum(1)
        index = targets_T.masked_fill(ignored_T, 0)[:, None].long()
        log_sum = total.log()
        results = below_TV.gather(1, index)[:, 0] - log_sum, log_sum - moment / total, top, log_sum
        for out, result in zip((logp_T, entropy_T, top_T, log_sum_T), results, strict=True):
            out.copy_(result.masked_fill(ignored_T, 0.0))

    def backward(
        self,
        logits_TV: torch.Tensor,
        targets_T: torch.Tensor,
        temperature_T: torch.Tensor,
        ignore_index: int,
        entropy_T: torch.Tensor,
        top_T: torch.Tensor,
        log_sum_T: torch.Tensor,
        d_logp_T: torch.Tensor,
        d_entropy_T: torch.Tensor,
        d_logits_TV: torch.Tensor,
    ) -> None:
        """See `Rows`. d log p(t) / dx_j = ([j = t] - p_j) / T and
        d entropy / dx_j = -p_j (log p_j + entropy) / T.
        """
        ignored_T = targets_T == ignore_index
        below_TV = (logits_TV.float() - top_T[:, None]) / temperature_T[:, None]
        logp_TV = below_TV - log_sum_T[:, None]
        p_TV = logp_TV.exp()
        pull_TV = d_entropy_T[:, None] * (logp_TV + entropy_T[:, None])
        grad_TV = -p_TV * (d_logp_T[:, None] + torch.where(p_TV > 0, pull_TV, 0.0))
        index = targets_T.masked_fill(ignored_T, 0)[:, None].long()
        grad_TV.scatter_add_(1, index, d_logp_T[:, None])
        grad_TV.div_(temperature_T[:, None])
        d_logits_TV.copy_(grad_TV.masked_fill_(ignored_T[:, None], 0.0))


class CpuRows:
    """The C++ kernels, on as many threads as torch uses."""

    def __init__(self) -> None:
        from azr_fast import _kernels

        self._kernels = _kernels

    def forward(
        self,
        logits_TV: torch.Tensor,
        targets_T: torch.Tensor,
        temperature_T: torch.Tensor,
        ignore_index: int,
        logp_T: torch.Tensor,
        entropy_T: torch.Tensor,
        top_T: torch.Tensor,
        log_sum_T: torch.Tensor,
    ) -> None:
        """See `Rows`."""
        self._kernels.selective_forward(
            logits_TV.detach(),
            targets_T.long(),
            temperature_T.reciprocal(),
            ignore_index,
            logp_T,
            entropy_T,
            top_T,
            log_sum_T,
            torch.get_num_threads(),
        )

    def backward(
        self,
        logits_TV: torch.Tensor,
        targets_T: torch.Tensor,
        temperature_T: torch.Tensor,
        ignore_index: int,
        entropy_T: torch.Tensor,
        top_T: torch.Tensor,
        log_sum_T: torch.Tensor,
        d_logp_T: torch.Tensor,
        d_entropy_T: torch.Tensor,
        d_logits_TV: torch.Tensor,
    ) -> None:
        """See `Rows`."""
        self._kernels.selective_backward(
            logits_TV.detach(),
            targets_T.long(),
            temperature_T.reciprocal(),
            ignore_index,
            entropy_T,
            top_T,
            log_sum_T,
            d_logp_T,
            d_entropy_T,
            d_logits_TV,
            torch.get_num_threads(),
        )


class _SelectiveLogprob(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits_TV: torch.Tensor,
        targets_T: torch.Tensor,
        temperature_T: torch.Tensor,
        ignore_index: int,
        rows: Rows,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = [logits_TV.new_empty(targets_T.shape, dtype=torch.float32) for _ in range(4)]
        logp_T, entropy_T, top_T, log_sum_T = outputs
        with on_device_of(logits_TV):
            rows.forward(logits_TV, targets_T, temperature_T, ignore_index, *outputs)
        ctx.save_for_backward(logits_TV, targets_T, temperature_T, entropy_T, top_T, log_sum_T)
        ctx.ignore_index, ctx.rows = ignore_index, rows
        return logp_T, entropy_T

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_logp_T: torch.Tensor, d_entropy_T: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        logits_TV, targets_T, temperature_T, *statistics = ctx.saved_tensors
        d_logits_TV = torch.empty_like(logits_TV, memory_format=torch.contiguous_format)
        upstream = d_logp_T.contiguous(), d_entropy_T.contiguous()
        with on_device_of(logits_TV):
            ctx.rows.backward(
                logits_TV,
                targets_T,
                temperature_T,
                ctx.ignore_index,
                *statistics,
                *upstream,
                d_logits_TV,
            )
        return d_logits_TV, None, None, None, None


def selective_logprob(
    logits_TV: torch.Tensor,
    targets_T: torch.Tensor,
    *,
    temperature: float | torch.Tensor = 1.0,
    ignore_index: int = IGNORE_INDEX,
    implementation: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log p of each row's target and the row's entropy under softmax(logits / temperature).

    Both are float32 [T], in nats, and differentiable once with respect to the logits. Logits are
    float32, bfloat16 or float16; where their columns are not contiguous they are copied. Targets
    are int32 or int64; the rows of those equal to `ignore_index` give 0 and no gradient. The
    temperature is a number or a float32 tensor [T]. Logits of -inf have probability 0; rows with
    nan or +inf, or with -inf alone, give nan. `implementation`: auto | triton | cpu | torch.
    Raises ValueError for wrong shapes, dtypes or devices, targets outside the vocabulary and
    temperatures that are not positive.
    """
    _check(logits_TV, targets_T, ignore_index)
    temperature_T = _per_token(temperature, targets_T)
    rows = choose_rows(implementation, logits_TV.device)
    if logits_TV.stride(1) != 1:
        logits_TV = logits_TV.contiguous()
    if not targets_T.numel():  # nothing to launch, but part of the graph
        return logits_TV.float().sum(1), logits_TV.float().sum(1)
    results = _SelectiveLogprob.apply(  # type: ignore[no-untyped-call]
        logits_TV, targets_T.contiguous(), temperature_T, ignore_index, rows
    )
    return cast("tuple[torch.Tensor, torch.Tensor]", results)


def choose_rows(implementation: str, device: torch.device) -> Rows:
    """See `dispatch.choose`."""
    chosen = choose(implementation, device)
    if chosen == "triton":
        return cast(Rows, triton_kernel("selective_logprob"))
    return CpuRows() if chosen == "cpu" else TorchRows()


def _check(logits_TV: torch.Tensor, targets_T: torch.Tensor, ignore_index: int) -> None:
    require(logits_TV.ndim == 2, "logits must have two dimensions")
    require_dtype("logits", logits_TV, (torch.float32, torch.bfloat16, torch.float16))
    require_dtype("targets", targets_T, IDS)
    require(targets_T.shape == logits_TV.shape[:1], "one target per row of logits is needed")
    require_device(logits_TV.device, targets=targets_T)
    vocabulary = logits_TV.shape[1]
    require(vocabulary > 0, "logits have no columns")
    outside_T = ((targets_T < 0) | (targets_T >= vocabulary)) & (targets_T != ignore_index)
    wrong = targets_T[outside_T]
    if wrong.numel():
        raise ValueError(
            f"targets must lie in [0, {vocabulary}) or equal ignore_index = {ignore_index}, "
            f"not {wrong[0].item()}"
        )


def _per_token(temperature: float | torch.Tensor, targets_T: torch.Tensor) -> torch.Tensor:
    """The temperature as a float32 tensor [T], checked; a number takes no memory per token."""
    limits = torch.finfo(torch.float32)
    message = "temperature must be positive and finite in float32"
    if not isinstance(temperature, torch.Tensor):
        require(limits.tiny <= temperature <= limits.max, f"{message}, not {temperature}")
        value = torch.full((1,), temperature, dtype=torch.float32, device=targets_T.device)
        return value.expand(targets_T.shape)
    require_dtype("temperature", temperature, (torch.float32,))
    require(temperature.shape == targets_T.shape, "one temperature per target is needed")
    require_device(targets_T.device, temperature=temperature)
    require(not temperature.requires_grad, "temperature is not differentiable: detach it")
    in_range = (temperature >= limits.tiny) & (temperature <= limits.max)
    require(bool(in_range.all()), message)
    return temperature
