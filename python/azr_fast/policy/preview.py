"""What a model would be after a step, before the step is made: no weight moves, none is kept twice.

A whole second set of weights would be a large part of an update's memory. Here each layer shows
its stepped weights while it computes, and has its own back when it is done; the head shows them
all the while.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from azr_fast.policy.optimizer import MasterAdamW


class Preview:
    """A step that is shown: how far it moves the weights that forward passes have used."""

    def __init__(self, optimizer: MasterAdamW, norm: torch.Tensor) -> None:
        self._optimizer, self._norm = optimizer, norm
        self._squares: dict[int, torch.Tensor] = {}  # by parameter: of its step and of itself
        self._hidden: dict[torch.nn.Parameter, torch.Tensor] = {}  # the weights behind those shown

    def moved(self) -> float:
        """The norm of the step over the norm of the weights."""
        steps, weights = torch.stack(list(self._squares.values())).sum(0).tolist()
        return math.sqrt(steps / max(weights, 1e-30))

    def show(self, parameter: torch.nn.Parameter) -> None:
        """Let a parameter be what the step would make it."""
        if parameter in self._hidden or not self._optimizer.moves(parameter):
            return
        shown, self._squares[id(parameter)] = self._optimizer.stepped(parameter, self._norm)
        self._hidden[parameter] = parameter.data
        parameter.data = shown

    def hide(self, parameter: torch.nn.Parameter) -> None:
        """Let a parameter be what it is."""
        if parameter in self._hidden:
            parameter.data = self._hidden.pop(parameter)

    def hide_all(self) -> None:
        """Let every parameter be what it is."""
        for parameter in list(self._hidden):
            self.hide(parameter)


@contextmanager
def previewed(
    backbone: torch.nn.Module,
    head: torch.nn.Parameter,
    optimizer: MasterAdamW,
    norm: torch.Tensor,
) -> Iterator[Preview]:
    """Passes inside the block see the weights that `optimizer.step(norm)` would make."""
    preview = Preview(optimizer, norm)
    handles = []
    try:
        preview.show(head)
        for part, inner in _parts(backbone):
            own = [p for p in part.parameters(recurse=inner) if p is not head]
            handles += _while_it_computes(part, own, preview)
        yield preview
    finally:
        for handle in handles:
            handle.remove()
        preview.hide_all()


def _while_it_computes(
    part: torch.nn.Module, own: list[torch.nn.Parameter], preview: Preview
) -> list[Any]:
    """Hooks that show these parameters during the forward pass of `part`."""

    def before(*_: object) -> None:
        for parameter in own:
            preview.show(parameter)

    def after(*_: object) -> None:
        for parameter in own:
            preview.hide(parameter)

    return [part.register_forward_pre_hook(before), part.register_forward_hook(after)]


def _parts(module: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, bool]]:
    """Modules that compute one after the other, layers whole, and whether what they contain is
    theirs. Only layers are in a list of their own."""
    yield module, False
    for child in module.children():
        if isinstance(child, torch.nn.ModuleList):
            yield from ((layer, True) for layer in child)
        elif any(isinstance(inner, torch.nn.ModuleList) for inner in child.modules()):
            yield from _parts(child)
        else:
            yield child, True
