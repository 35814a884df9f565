"""Prompts for both roles. What is shown is decided here, how it is worded by a form."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from azr_fast.config.schema import GameConfig
from azr_fast.games.azr.compact import CompactForm
from azr_fast.games.azr.full import FullForm
from azr_fast.games.azr.tasks import identity
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.types import Message, Prompt, Role, Task

Wording = tuple[tuple[Message, ...], str]  # messages, and the text the answer starts with


class Form(Protocol):
    """A way to word prompts."""

    def propose(self, kind: str, references: Sequence[Task], rng: random.Random) -> Wording:
        """Ask for a task of `kind`. For induction the one reference is what it is to be about."""

    def solve(self, task: Task) -> Wording:
        """Show a task to a solver, without what the solver must find."""


class Prompter:
    """Chooses what each prompt shows."""

    def __init__(self, config: GameConfig) -> None:
        self._references = config.references
        self._shared_by = config.references_shared_by
        self._form: Form = (FullForm if config.prompts == "full" else CompactForm)(config)

    def proposals(
        self, kind: str, count: int, buffer: TaskBuffer, rng: random.Random
    ) -> list[Prompt]:
        """`count` prompts; each run of `references_shared_by` of them is one and the same."""
        prompts: list[Prompt] = []
        while len(prompts) < count:
            references = self._draw(kind, buffer, rng)
            messages, prefill = self._form.propose(kind, references, rng)
            prompt = Prompt(kind, Role.PROPOSER, messages, prefill, references=tuple(references))
            prompts += [prompt] * min(self._shared_by, count - len(prompts))
        return prompts

    def solution(self, task: Task) -> Prompt:
        """The prompt that shows `task` to a solver."""
        messages, prefill = self._form.solve(task)
        return Prompt(task.kind, Role.SOLVER, messages, prefill, task=task)

    def _draw(self, kind: str, buffer: TaskBuffer, rng: random.Random) -> list[Task]:
        """References, uniform and without replacement (paper, section 3.3.2); for induction the
        task whose program the proposal is about."""
        if kind == "induction":
            return buffer.draw(["deduction", "abduction"], 1, rng) or [identity("deduction")]
        return buffer.draw([kind], self._references, rng)
