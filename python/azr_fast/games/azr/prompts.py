"""Prompts for both roles. What is shown is decided here, how it is worded by a form."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from azr_fast.games.azr.compact import CompactForm
from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.full import FullForm
from azr_fast.games.azr.tasks import identity
from azr_fast.games.game import Tasks
from azr_fast.types import Message, Source, Task

Wording = tuple[tuple[Message, ...], str]  # messages, and the text the answer starts with


class Form(Protocol):
    """A way to word prompts."""

    def propose(self, kind: str, references: Sequence[Task], rng: random.Random) -> Wording:
        """Ask for a task of `kind`. For induction the one reference is what it is to be about."""

    def solve(self, task: Task) -> Wording:
        """Show a task to a solver, without what the solver must find."""


def open_form(config: GameConfig) -> Form:
    """The form that the config names."""
    return (FullForm if config.prompts == "full" else CompactForm)(config)


def draw_sources(
    kind: str, count: int, tasks: Tasks, rng: random.Random, config: GameConfig
) -> list[Source]:
    """Sources of `count` proposals; each run of `references_shared_by` of them is one and the
    same, so that their prompts are computed once."""
    sources: list[Source] = []
    while len(sources) < count:
        references = tuple(_draw(kind, tasks, rng, config.references))
        source = Source(kind, references, rng.getrandbits(63))
        sources += [source] * min(config.references_shared_by, count - len(sources))
    return sources


def _draw(kind: str, tasks: Tasks, rng: random.Random, count: int) -> list[Task]:
    """References, uniform and without replacement (paper, section 3.3.2); for induction the task
    whose program the proposal is about."""
    if kind == "induction":
        return tasks.draw(["deduction", "abduction"], 1, rng) or [identity("deduction")]
    return tasks.draw([kind], count, rng)
