"""What every module of a model computes in one forward pass, and where two passes part.

Two passes of a deep network in bf16 may end far apart by rounding alone. So they are compared
module by module: while a second pass goes through the modules, each tensor is compared with the
one on record and then replaced by it. Every module hence works on the very inputs it had in the
first pass, rounding does not add up, and the first module that differs is the one to blame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers.utils import ModelOutput

Site = tuple[str, str, int]  # the module that made a tensor, where it was seen, and which time
Passage = dict[Site, torch.Tensor]  # the tensors [T, ...] of one pass in order


@dataclass(frozen=True, slots=True)
class Gap:
    """How far a tensor that `module` made is from the one on record, relative to its size.

    `largest` and `mean` are over tokens; NaN where a tensor is not finite.
    """

    module: str
    largest: float
    mean: float


class Taps:
    """Hooks on `root`, a part of `model`, and on every module inside it.

    They see what enters and what leaves a module where that is, or begins with, a floating-point
    tensor [1, T, ...]. What enters a module was made by the module around it.
    """

    def __init__(self, model: torch.nn.Module, root: torch.nn.Module) -> None:
        self._names = {module: name for name, module in model.named_modules()}
        self._root = root
        self._running: list[str] = []

    @property
    def running(self) -> str:
        """The innermost module at work; after an error, the one that raised it."""
        return self._running[-1] if self._running else "the model"

    @contextmanager
    def record(self, tokens: int) -> Iterator[Passage]:
        """Keep what the forward pass inside the block computes for its `tokens` tokens."""
        passage: Passage = {}

        def keep(site: Site, tensor_T: torch.Tensor) -> None:
            passage[site] = tensor_T.clone()

        with self._hooked(tokens, keep):
            yield passage

    @contextmanager
    def compare(
        self, tokens: int, rows: Sequence[int], passage: Passage, recorded: Sequence[int]
    ) -> Iterator[list[Gap]]:
        """Compare tokens `rows` of the pass inside the block with tokens `recorded` of `passage`.

        The list fills in the order of the pass. What is not on record is passed over.
        """
        gaps: list[Gap] = []

        def check(site: Site, tensor_T: torch.Tensor) -> None:
            if site in passage:
                was = passage[site][recorded]
                gaps.append(gap_of(site[0], tensor_T[rows], was))
                tensor_T[rows] = was

        with self._hooked(tokens, check):
            yield gaps

    @contextmanager
    def _hooked(self, tokens: int, visit: Callable[[Site, torch.Tensor], None]) -> Iterator[None]:
        """Call `visit` with a copy of every tensor [T, ...]; the model goes on with that copy."""
        times: Counter[tuple[str, str]] = Counter()

        def replaced(maker: str, where: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if not values or not _is_per_token(values[0], tokens):
                return None
            copy_1T = values[0].clone()
            times[maker, where] += 1
            visit((maker, where, times[maker, where]), copy_1T[0])
            return copy_1T, *values[1:]

        def enter(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
            name, maker = self._names[module], self.running
            self._running.append(name)
            return replaced(maker, f"into {name}", inputs)

        def leave(module: torch.nn.Module, _inputs: Any, output: Any) -> Any:
            several = isinstance(output, tuple | ModelOutput)
            values = replaced(self._running.pop(), "out", output[:] if several else (output,))
            if values is None or isinstance(output, ModelOutput):
                return None
            return values if several else values[0]

        self._running.clear()
        modules = list(self._root.modules())
        handles = [module.register_forward_pre_hook(enter) for module in modules]
        handles += [module.register_forward_hook(leave) for module in modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _is_per_token(value: object, tokens: int) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.dim() >= 3
        and value.shape[:2] == (1, tokens)
    )


def gap_of(module: str, tensor_T: torch.Tensor, recorded_T: torch.Tensor) -> Gap:
    """How far one tensor [T, ...] is from the one on record."""
    if torch.equal(tensor_T, recorded_T):
        return Gap(module, 0.0, 0.0)
    tensor_TX, recorded_TX = tensor_T.float().flatten(1), recorded_T.float().flatten(1)
    size_T = recorded_TX.norm(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
    gap_T = (tensor_TX - recorded_TX).norm(dim=1) / size_T
    return Gap(module, gap_T.max().item(), gap_T.mean().item())
