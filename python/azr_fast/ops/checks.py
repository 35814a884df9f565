"""What operations ask of their input before anything is launched; each refusal is a ValueError."""

from __future__ import annotations

import torch

IDS = (torch.int32, torch.int64)


def require(condition: bool, message: str) -> None:
    """Raise ValueError unless the condition holds."""
    if not condition:
        raise ValueError(message)


def require_everywhere(conditions: dict[str, torch.Tensor]) -> None:
    """Raise ValueError with the first message whose tensor is not true throughout; they are bool
    [N]. All are read at once: each look at a GPU's results waits for all that was launched."""
    holds = torch.stack(list(conditions.values())).all(1).tolist()
    for message, everywhere in zip(conditions, holds, strict=True):
        require(everywhere, message)


def require_dtype(name: str, tensor: torch.Tensor, allowed: tuple[torch.dtype, ...]) -> None:
    """The tensor's dtype is one of those allowed."""
    names = " or ".join(str(dtype).removeprefix("torch.") for dtype in allowed)
    require(tensor.dtype in allowed, f"{name} must be {names}, not {tensor.dtype}")


def require_device(device: torch.device, **tensors: torch.Tensor) -> None:
    """Every tensor lies on the device."""
    for name, tensor in tensors.items():
        require(tensor.device == device, f"{name} is on {tensor.device}, not on {device}")


def require_per_token(name: str, tensor: torch.Tensor, targets_N: torch.Tensor) -> None:
    """Float32, one element per target, on the targets' device."""
    require_dtype(name, tensor, (torch.float32,))
    require(tensor.shape == targets_N.shape, f"one {name} per target is needed")
    require_device(targets_N.device, **{name: tensor})
