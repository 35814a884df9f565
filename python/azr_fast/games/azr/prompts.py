"""Prompts for both roles. What is shown is decided here, how it is worded by a form."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Protocol

from azr_fast.games.azr.compact import CompactForm
from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.full import FullForm
from azr_fast.games.azr.thought import ThoughtForm
from azr_fast.types import Message, Source, Task

Wording = tuple[tuple[Message, ...], str]  # messages, and the text the answer starts with


_FORMS: Mapping[str, Callable[[GameConfig], Form]] = {
    "full": FullForm,
    "compact": CompactForm,
    "compact_thought": ThoughtForm,
}


class Form(Protocol):
    """A way to word prompts."""

    def propose(self, source: Source, rng: random.Random) -> Wording:
        """Ask for a task. For induction the one reference is what it is to be about."""

    def solve(self, task: Task) -> Wording:
        """Show a task to a solver, without what the solver must find."""


def open_form(config: GameConfig) -> Form:
    """The form that the config names."""
    return _FORMS[config.prompts](config)
