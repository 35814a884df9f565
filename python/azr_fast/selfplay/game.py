"""What a game supplies. The loop knows nothing else about it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.types import Answer, Judgement, Prompt, Task


class Game(Protocol):
    """Rules of one game. `gate` and `grade` are called from several threads at once."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Task types, in the order they are played."""

    def first_tasks(self) -> Sequence[Task]:
        """Tasks that need no model: the floor every buffer starts from."""

    def proposal_prompts(
        self, kind: str, count: int, buffer: TaskBuffer, rng: random.Random
    ) -> list[Prompt]:
        """`count` prompts that ask for a new task of `kind`; the same for equal buffer and rng."""

    def gate(self, answer: Answer) -> Judgement:
        """Parse a proposal and check it by execution; a PASSED judgement carries the task."""

    def solve_prompt(self, task: Task) -> Prompt:
        """The prompt that shows `task` to a solver. Never contains what the solver must find."""

    def grade(self, answer: Answer) -> Judgement:
        """Parse a solution and check it by execution against `answer.prompt.task`."""

    def seeds_from(self, task: Task) -> Sequence[Task]:
        """A seed task as a task of every kind it can serve (AZR: deduction seeds abduction)."""

    def verification(self) -> Mapping[str, Any]:
        """How answers were verified since the last call, for the metrics."""
