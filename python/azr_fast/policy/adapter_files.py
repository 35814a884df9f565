"""Adapters as files, in the format of peft (github.com/huggingface/peft, "Checkpoint format"), and
models that they are merged into."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from transformers import PreTrainedModel

from azr_fast.config.lora import LoraConfig
from azr_fast.errors import UserError
from azr_fast.policy.loading import load_model
from azr_fast.policy.lora import adapted_layers, add_adapter, is_of_adapter
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.snapshot import Snapshot, Tensors, files_beside_weights

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class AdapterFormat:
    """Writes adapters of one shape over one base model."""

    base: str
    config: LoraConfig
    targets: tuple[str, ...]

    def save_pretrained(self, folder: Path, state_dict: Tensors) -> None:
        """Write an adapter as peft does."""
        safetensors.torch.save_file(state_dict, folder / WEIGHTS, metadata={"format": "pt"})
        (folder / SETTINGS).write_text(json.dumps(self._settings(), indent=2), encoding="utf-8")

    def _settings(self) -> dict[str, object]:
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base,
            "r": self.config.rank,
            "lora_alpha": self.config.alpha,
            "lora_dropout": 0.0,
            "target_modules": list(self.targets),
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
        }


def adapter_format(model: torch.nn.Module, base: str, config: LoraConfig) -> AdapterFormat:
    """How the adapter of `model` is written."""
    kinds = {path.rpartition(".")[2] for path in adapted_layers(model)}
    return AdapterFormat(base, config, tuple(sorted(kinds)))


def adapter_tensors(model: torch.nn.Module) -> Tensors:
    """The adapter of a model by peft's names. Not copies."""
    return {
        f"base_model.model.{path}.{name}.weight": getattr(layer, name).detach()
        for path, layer in adapted_layers(model).items()
        for name in ("lora_A", "lora_B")
    }


def write_merged(files: ModelFiles, dtype: str, adapter: Path, target: Path) -> None:
    """Write the model of `files` with an adapter merged into it, as a plain Hugging Face folder.
    `dtype` is that of the training.

    Raises UserError when the adapter cannot be read, or is none of this model.
    """
    settings, tensors = _read(adapter)
    model = load_model(files, getattr(torch, dtype))
    config = LoraConfig(
        rank=settings["r"], alpha=settings["lora_alpha"], targets=settings["target_modules"]
    )
    add_adapter(model, config, torch.Generator(), files.name)
    _take(model, tensors, adapter)
    _merge_for_good(model)
    weights = {n: t for n, t in model.state_dict().items() if not is_of_adapter(n)}
    Snapshot(model, weights, {}, files_beside_weights(files.folder)).write_product(target)


def _read(adapter: Path) -> tuple[Mapping[str, Any], Tensors]:
    try:
        settings = json.loads((adapter / SETTINGS).read_text(encoding="utf-8"))
        return settings, safetensors.torch.load_file(adapter / WEIGHTS)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(
            f"cannot read the adapter {adapter} ({error}): choose another checkpoint"
        ) from None


@torch.no_grad()
def _take(model: PreTrainedModel, tensors: Tensors, adapter: Path) -> None:
    own = adapter_tensors(model)
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in tensors.items()}:
        raise UserError(
            f"the adapter {adapter} belongs to a model of other layers: put the base model of the "
            "run back"
        )
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


@torch.no_grad()
def _merge_for_good(model: torch.nn.Module) -> None:
    """The base of this model is lost: no second one is held."""
    for layer in adapted_layers(model).values():
        layer.weight.copy_(layer.merged())
