"""Which weights a vLLM model holds, to compare with those it was sent.

vLLM renames and fuses weights, and on some processors a layer keeps only a copy that is packed in
the processor's own form. The checksums of such a layer are taken when the weights have arrived and
are about to be packed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from azr_fast.rollout.checksum import checksum

Sums = dict[str, int]


class HeldWeights:
    """Watches the loads of one model from the moment this is made.

    `dtype` is the trainer's: an engine may keep a small tensor in a wider one.
    """

    def __init__(self, model: torch.nn.Module, dtype: torch.dtype) -> None:
        self._model = model
        self._dtype = dtype
        self._packed: dict[str, Sums] = {}  # by layer: its weights when they were packed last
        self._names = {id(layer): name for name, layer in model.named_modules()}
        methods = {id(m): m for layer in model.modules() if (m := _packer(layer)) is not None}
        for method in methods.values():
            method.process_weights_after_loading = self._watched(
                method.process_weights_after_loading
            )

    def _watched(self, pack: Callable[[torch.nn.Module], None]) -> Callable[..., None]:
        def record_and_pack(layer: torch.nn.Module) -> None:
            own = layer.named_parameters(recurse=False)
            sums = {name: checksum(weight.to(self._dtype)) for name, weight in own}
            self._packed[self._names[id(layer)]] = sums
            pack(layer)

        return record_and_pack

    def begin(self) -> None:
        """Forget what was packed before: a load begins, and every layer must be packed anew."""
        self._packed.clear()

    def differing(self, sent: Mapping[str, int]) -> list[str]:
        """Names of weights that are not those with the checksums `sent`, by Hugging Face name."""
        expected: Sums = defaultdict(int)
        for name, value in sent.items():
            expected[self._fused_name(name)] += value
        held = list(self._held())
        wrong = {name for name, value in held if value != expected.get(name, -1) % (1 << 64)}
        return sorted(wrong | (expected.keys() - {name for name, _ in held}))

    def _held(self) -> Iterator[tuple[str, int]]:
        """Checksums by name, of what layers use: their weights, their packed copy, or both."""
        experts: Sums = defaultdict(int)
        for path, layer in self._model.named_modules():
            live = {n: p for n, p in layer.named_parameters(recurse=False) if p.numel()}
            seen = [{n: checksum(p.to(self._dtype)) for n, p in live.items()}]
            if hasattr(layer, "cpu_linear"):
                seen.append(self._packed.get(path, dict.fromkeys(live, -1)))
            for sums in seen:
                for name, value in sums.items():
                    full = _without_expert(f"{path}.{name}")
                    if full == f"{path}.{name}":
                        yield full, value
                    else:
                        experts[full] += value
        yield from ((name, value % (1 << 64)) for name, value in experts.items())

    def _fused_name(self, name: str) -> str:
        """The name of the fused weight that a weight of the model's files becomes part of."""
        mapper = getattr(self._model, "hf_to_vllm_mapper", None)
        name = (mapper and mapper.map_name(name)) or name
        fused: Mapping[str, list[str]] = getattr(self._model, "packed_modules_mapping", None) or {}
        whole = {part: into for into, parts in fused.items() for part in parts}
        return _without_expert(".".join(whole.get(piece, piece) for piece in name.split(".")))


def _packer(layer: torch.nn.Module) -> Any:
    """What packs the layer's weights after a load, where it has such a thing."""
    method = getattr(layer, "quant_method", None)
    return method if hasattr(method, "process_weights_after_loading") else None


def _without_expert(name: str) -> str:
    """All experts of a layer under one name: vLLM keeps them in two tensors, files in many."""
    return re.sub(r"\.experts\..*", ".experts", name)
