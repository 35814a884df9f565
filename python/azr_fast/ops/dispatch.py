"""Which implementation serves a tensor, and how a Triton kernel is found and launched."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from azr_fast.errors import UserError
from azr_fast.ops.checks import require

KERNELS_BUILT = find_spec("azr_fast._kernels") is not None  # not so in a bare source tree
DEVICES = {"triton": "cuda", "cpu": "cpu"}  # where an implementation works; torch's does anywhere


def choose(implementation: str, device: torch.device) -> str:
    """`triton`, `cpu` (C++) or `torch`. `auto` is the device's own: triton on a GPU, cpu on a CPU
    when the kernels are built, torch elsewhere.

    Raises ValueError for other names and what does not work on the device, UserError (a ValueError)
    for kernels that are not built.
    """
    if implementation == "auto":
        own = {"cuda": "triton", "cpu": "cpu" if KERNELS_BUILT else "torch"}
        return own.get(device.type, "torch")
    require(
        implementation in ("triton", "cpu", "torch"),
        f"implementation must be auto, triton, cpu or torch, not {implementation}",
    )
    if DEVICES.get(implementation, device.type) != device.type:
        raise UserError(
            f"implementation {implementation} does not work on {device.type}: use auto or torch"
        )
    if implementation == "cpu" and not KERNELS_BUILT:
        raise UserError("azr_fast._kernels is not built: run pip install ., or choose torch")
    return implementation


def triton_kernel(name: str) -> Any:
    """The module of a kernel; only this imports triton."""
    return import_module(f"azr_fast.triton_kernels.{name}")


def on_device_of(tensor: torch.Tensor) -> AbstractContextManager[None]:
    """Triton launches on the current device: make it the tensor's (nothing to do for a CPU's)."""
    guard: AbstractContextManager[None] = torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]
    return guard
