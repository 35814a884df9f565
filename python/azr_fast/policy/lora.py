"""Low-rank adapters (LoRA, arXiv 2106.09685): small matrices that learn in place of large ones.

The weight of a layer is W + scale · B A, of which A and B learn. A layer computes with that sum,
rounded to the dtype of the model: the very numbers that an engine is sent and that an export holds.
So what is sampled is what is trained, as with whole weights. The usual way, W x and B A x apart,
trains a model that differs from the sampled one by the rounding of the merge. The gradient takes
that rounding for none, as that of a weight with an fp32 master does. A merged weight is there while
its product is computed; W itself never changes.

Suffixes: T tokens, I and O inputs and outputs of a layer, R rank, C rows of a chunk.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch.nn.functional import linear
from transformers import PreTrainedModel

from azr_fast.config.lora import LoraConfig
from azr_fast.errors import UserError

# Elements that are merged at a time: on a CPU their fp32 sum stays in a core's cache.
_CHUNK, _CHUNK_OF_A_GPU = 1 << 18, 1 << 26


class AdaptedLinear(torch.nn.Module):
    """A linear layer whose weight and bias stand still and whose adapter learns, in fp32.

    B begins as zeros, so that a new adapter changes nothing.
    """

    def __init__(
        self, layer: torch.nn.Linear, config: LoraConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.scale = config.scale
        outputs, inputs = layer.weight.shape
        bound = inputs**-0.5  # as a layer of torch begins, and peft's A
        down_RI = torch.empty(config.rank, inputs).uniform_(-bound, bound, generator=generator)
        device = layer.weight.device
        self.lora_A = torch.nn.Parameter(down_RI.to(device))
        self.lora_B = torch.nn.Parameter(torch.zeros(outputs, config.rank, device=device))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The layer's product with its merged weight."""
        output: torch.Tensor = _MergedProduct.apply(  # type: ignore[no-untyped-call]
            hidden, self.weight, self.bias, self.lora_A, self.lora_B, self.scale
        )
        return output

    def merged(self) -> torch.Tensor:
        """The weight that the layer computes with."""
        return merged(self.weight, self.lora_A, self.lora_B, self.scale)


@torch.no_grad()
def merged(
    weight_OI: torch.Tensor, a_RI: torch.Tensor, b_OR: torch.Tensor, scale: float
) -> torch.Tensor:
    """W + scale · B A, summed in fp32 and rounded once to the dtype of W, which stays as it is."""
    chunk = _CHUNK if weight_OI.device.type == "cpu" else _CHUNK_OF_A_GPU
    rows = max(1, chunk // weight_OI.shape[1])
    merged_OI = torch.empty_like(weight_OI)
    parts = (torch.split(tensor, rows) for tensor in (merged_OI, weight_OI, b_OR))
    for merged_CI, weight_CI, b_CR in zip(*parts, strict=True):
        # In place: recomputation of activations keeps the results of products that it can tell.
        sum_CI = weight_CI.to(torch.float32, copy=True).addmm_(b_CR, a_RI, alpha=scale)
        merged_CI.copy_(sum_CI)
    return merged_OI


class _MergedProduct(torch.autograd.Function):
    """x · (W + scale · B A)ᵀ + bias, with gradients of x, A and B."""

    @staticmethod
    def forward(
        ctx: Any,
        input_: torch.Tensor,
        weight_OI: torch.Tensor,
        bias_O: torch.Tensor | None,
        a_RI: torch.Tensor,
        b_OR: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(input_, weight_OI, a_RI, b_OR)
        ctx.scale = scale
        return linear(input_, merged(weight_OI, a_RI, b_OR, scale), bias_O)

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        input_, weight_OI, a_RI, b_OR = ctx.saved_tensors
        d_input = None
        if ctx.needs_input_grad[0]:
            d_input = d_output @ merged(weight_OI, a_RI, b_OR, ctx.scale)
        input_TI, d_output_TO = input_.flatten(0, -2), d_output.flatten(0, -2)
        inner_TR = linear(input_TI, a_RI.to(input_.dtype))
        d_inner_TR = d_output_TO @ b_OR.to(input_.dtype)
        d_a_RI = (d_inner_TR.T @ input_TI).float() * ctx.scale
        d_b_OR = (d_output_TO.T @ inner_TR).float() * ctx.scale
        return d_input, None, None, d_a_RI, d_b_OR, None


@dataclass(frozen=True, slots=True)
class FrozenBase:
    """A model that stands still, under the adapters of one policy or several."""

    model: PreTrainedModel
    name: str
    config: LoraConfig
    seed: int  # of the adapters

    def alone(self) -> PreTrainedModel:
        """A model of the same weights, which are held once, and with modules of its own."""
        weights = chain(self.model.parameters(), self.model.buffers())
        return copy.deepcopy(self.model, {id(weight): weight for weight in weights})

    def adapted(self) -> PreTrainedModel:
        """A model of the same weights with a new adapter over them."""
        model = self.alone()
        add_adapter(model, self.config, torch.Generator().manual_seed(self.seed), self.name)
        return model

    def fingerprint(self) -> torch.Tensor:
        """Hashes [N] of the weights, which an adapter belongs to."""
        hashes = [torch.hash_tensor(weight.detach()) for weight in self.model.parameters()]
        return torch.stack(hashes).view(torch.int64).cpu()


def add_adapter(
    model: PreTrainedModel, config: LoraConfig, generator: torch.Generator, name: str
) -> None:
    """Lay an adapter over the linear layers of `model` that `config` asks for; nothing else of it
    will learn. Raises UserError for layers that it does not have."""
    model.requires_grad_(False)
    for path in _targeted(model, config.targets, name):
        parent, _, own = path.rpartition(".")
        layer = model.get_submodule(path)
        assert isinstance(layer, torch.nn.Linear)
        model.get_submodule(parent).register_module(own, AdaptedLinear(layer, config, generator))


def _targeted(model: PreTrainedModel, targets: Sequence[str], name: str) -> list[str]:
    """Paths of the layers that are to have an adapter: all that are linear, but for the head."""
    head = model.get_output_embeddings()
    paths = [
        path
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]
    kinds = list(dict.fromkeys(map(_kind, paths)))
    if not kinds:
        raise UserError(
            f"{name} has no linear layers that an adapter can be laid over: choose another model, "
            "or leave roles at shared or separate"
        )
    if unknown := [target for target in targets if target not in kinds]:
        raise UserError(
            f"lora.targets: {name} has no linear layers called {', '.join(unknown)}: choose of "
            f"{', '.join(kinds)}"
        )
    return [path for path in paths if not targets or _kind(path) in targets]


def _kind(path: str) -> str:
    """What a layer is called in its block."""
    return path.rpartition(".")[2]


def adapted_layers(model: torch.nn.Module) -> dict[str, AdaptedLinear]:
    """The layers with an adapter, by their paths."""
    return {
        path: module for path, module in model.named_modules() if isinstance(module, AdaptedLinear)
    }


def merged_weights(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every weight of a model by its name, those under an adapter merged with it one at a time."""
    layers = {f"{path}.weight": layer for path, layer in adapted_layers(model).items()}
    for name, parameter in model.named_parameters():
        if name in layers:
            yield name, layers[name].merged()
        elif not is_of_adapter(name):
            yield name, parameter.detach()


def is_of_adapter(name: str) -> bool:
    """Whether a parameter is one of an adapter, by its name."""
    return name.endswith((".lora_A", ".lora_B"))
