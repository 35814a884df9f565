"""A policy's state at one moment, which can be written while the policy goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from azr_fast.policy.checkpoint import MODEL_FOLDER

OPTIMIZER_FILE = "optimizer.safetensors"  # beside it: vLLM reads every such file of a model folder

Tensors = dict[str, torch.Tensor]
_WEIGHT_FILES = (
    *(".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pth", ".pt", ".h5"),
    *(".msgpack", ".ot", ".gguf", ".onnx"),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Weights, optimizer and torch's random state, all by name.

    The tensors are those of the policy and change with it, until they are copied. Of `model`, which
    writes them in its format, only its shape and config are looked at. `files` lie beside the
    weights: tokenizer, licence.
    """

    model: Any
    weights: Tensors
    optimizer: Tensors
    files: Mapping[str, bytes]
    place: str = MODEL_FOLDER

    @property
    def bytes(self) -> int:
        """Memory that a copy takes."""
        every = (*self.weights.values(), *self.optimizer.values())
        return sum(tensor.nbytes for tensor in {_place(one): one for one in every}.values())

    def copied(self) -> Snapshot:
        """The same in memory of its own, outside of a GPU's."""
        weights, optimizer = _copies(self.weights, self.optimizer)
        return replace(self, weights=weights, optimizer=optimizer)

    def write(self, folder: Path) -> None:
        """Write what learns into its place, and beside it what `Policy.load` needs."""
        self.write_product(folder / self.place)
        safetensors.torch.save_file(self.optimizer, folder / OPTIMIZER_FILE)

    def write_product(self, folder: Path) -> None:
        """Write what learns as others load it: a Hugging Face folder, or an adapter of peft's."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder, state_dict=dict(self.weights))
        for name, content in self.files.items():
            if not (folder / name).exists():
                (folder / name).write_bytes(content)


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Those of several policies, by the folder of each in a checkpoint; "" is the checkpoint."""

    of_place: Mapping[str, Snapshot]

    @property
    def bytes(self) -> int:
        """Memory that copies take."""
        return sum(one.bytes for one in self.of_place.values())

    def copied(self) -> Snapshots:
        """The same in memory of their own."""
        return Snapshots({place: one.copied() for place, one in self.of_place.items()})

    def write(self, folder: Path) -> None:
        """Write each in its place."""
        for place, one in self.of_place.items():
            one.write(folder / place)


def files_beside_weights(folder: Path) -> dict[str, bytes]:
    """Tokenizer, chat template, licence, by name. An index of weights would name files of this
    folder, however those of a checkpoint are cut."""
    files = (path for path in folder.iterdir() if path.is_file())
    return {p.name: p.read_bytes() for p in files if not p.name.endswith(_WEIGHT_FILES)}


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    """What tells tensors apart that do not share their numbers; tied weights do."""
    return tensor.device, tensor.data_ptr(), tensor.shape


def _copies(*several: Tensors) -> list[Tensors]:
    """Copies, of which those of tied weights are one, and those of weights that are their own
    masters."""
    once = {_place(one): one for tensors in several for one in tensors.values()}
    copies = {place: one.detach().to("cpu", copy=True) for place, one in once.items()}
    return [{name: copies[_place(one)] for name, one in tensors.items()} for tensors in several]
