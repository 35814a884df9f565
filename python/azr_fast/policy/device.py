"""Which device a configured name means on this machine."""

from __future__ import annotations

import torch

from azr_fast.errors import UserError


def resolve_device(name: str) -> torch.device:
    """The device of `model.device`; "auto" is the GPU where there is a usable one.

    Raises UserError for cuda on a machine without. Quick: it loads nothing.
    """
    usable = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if usable else "cpu"
    if name == "cuda" and not usable:
        raise UserError("model.device is cuda and this machine has no usable GPU: set it to cpu")
    return torch.device(name)
