"""Tokens that lie as [B, T], or along any other leading sizes, seen as one row of N and back."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch

from azr_fast.ops.checks import require
from azr_fast.ops.objective import Objective


class Batch:
    """The leading sizes of `hidden` [..., H]. ValueError unless `targets` has the same ones."""

    def __init__(self, hidden: torch.Tensor, targets: torch.Tensor) -> None:
        require(targets.shape == hidden.shape[:-1], "one target per hidden state is needed")
        self.shape = targets.shape

    def flat(self, value: Any, name: str) -> Any:
        """A tensor of these sizes as [N]; what is no tensor as it is."""
        if not isinstance(value, torch.Tensor):
            return value
        require(value.shape == self.shape, f"one {name} per target is needed")
        return value.reshape(-1)

    def flat_objective(self, objective: Objective) -> Objective:
        """An objective whose tensors have these sizes, of N tokens."""
        names = [field.name for field in fields(Objective)]
        values = {name: getattr(objective, name) for name in names}
        return replace(
            objective,
            **{name: self.flat(value, name.removesuffix("_N")) for name, value in values.items()},
        )

    def back(self, values_N: torch.Tensor) -> torch.Tensor:
        """[N], or [N, …], with these leading sizes again."""
        return values_N.reshape(*self.shape, *values_N.shape[1:])
