"""Which implementation serves a tensor, and how a Triton kernel is found and launched."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

import torch

from azr_fast.ops.checks import require


def choose(implementation: str, device: torch.device) -> str:
    """`auto` is `triton` on a GPU and `torch` elsewhere. Raises ValueError for what cannot be."""
    if implementation == "auto":
        return "triton" if device.type == "cuda" else "torch"
    require(
        implementation in ("triton", "torch"),
        f"implementation must be auto, triton or torch, not {implementation}",
    )
    require(
        implementation == "torch" or device.type == "cuda",
        f"Triton kernels do not run on {device.type}: use implementation auto or torch",
    )
    return implementation


def triton_kernel(name: str) -> Any:
    """The module of a kernel; only this imports triton."""
    return import_module(f"azr_fast.triton_kernels.{name}")


def on_device_of(tensor: torch.Tensor) -> AbstractContextManager[None]:
    """Triton launches on the current device: make it the tensor's (nothing to do for a CPU's)."""
    guard: AbstractContextManager[None] = torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]
    return guard
