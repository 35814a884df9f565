"""From a model folder to a model whose every weight came from it and is a number."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.dropout import _DropoutNd
from transformers import AutoModelForCausalLM, PreTrainedModel

from azr_fast.config.schema import ModelConfig
from azr_fast.errors import UserError
from azr_fast.policy.device import resolve_device
from azr_fast.policy.library import quiet, told
from azr_fast.policy.models import ModelFiles

REMEDY = "get the model again, with a config.json that fits its weights"
SHOWN = 3  # tensors named in a line


def load_model(files: ModelFiles, dtype: torch.dtype) -> PreTrainedModel:
    """The causal language model of a folder that `resolve_model` gave, in evaluation mode.

    Raises UserError for what transformers cannot load, and names the tensors that are missing, not
    expected, of another shape than the config says, or hold NaN or infinity.
    """
    with quiet(), told(f"cannot load {files.folder}", REMEDY):
        model, report = AutoModelForCausalLM.from_pretrained(
            files.folder,
            dtype=dtype,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are in the report
        )
    check_report(files.folder, report)
    _check_numbers(files, model)
    return model.eval()


def load_on_device(files: ModelFiles, config: ModelConfig) -> PreTrainedModel:
    """The model of a folder in the dtype and on the device of a config."""
    model = load_model(files, getattr(torch, config.dtype))
    return model.to(resolve_device(config.device))


def check_report(source: Path, report: dict[str, Any]) -> None:
    """Raise UserError by what transformers reports of a load from `source`: it only warns."""
    mismatched = [
        f"{name} (is {tuple(found)}, must be {tuple(wanted)})"
        for name, found, wanted in sorted(report["mismatched_keys"])
    ]
    for what, names in (
        ("weights of another shape than config.json says", mismatched),
        ("no weights for", sorted(report["missing_keys"])),
        ("weights that its model type does not know", sorted(report["unexpected_keys"])),
    ):
        if names:
            raise UserError(f"{source} has {what}: {_some(names)}: {REMEDY}")


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _check_numbers(files: ModelFiles, model: PreTrainedModel) -> None:
    """The least and the largest number of a tensor tell: 0.02 s for 100 million of them."""
    broken = [
        name
        for name, weight in chain(model.named_parameters(), model.named_buffers())
        if weight.is_floating_point() and weight.numel() and not _is_finite(weight.detach())
    ]
    if broken:
        raise UserError(
            f"{files.folder} has weights that are NaN or infinite: {_some(broken)}: "
            "get the model again, or go back to a checkpoint from before they were ruined"
        )


def _is_finite(weight: torch.Tensor) -> bool:
    least, largest = weight.aminmax()
    return bool(least.isfinite() and largest.isfinite())


def use_recompute(model: PreTrainedModel) -> None:
    """Compute activations anew in the backward pass; that needs training mode, without dropout."""
    with told("update.recompute cannot be used", "set --update.recompute false"):
        model.gradient_checkpointing_enable()
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)
    model.train()
