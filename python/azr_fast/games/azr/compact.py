"""The compact form: short few-shot chats for small models; the references are the examples."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.tasks import shown_pairs, visible
from azr_fast.types import Message, Task

Words = Mapping[str, Any]  # a table of compact.toml
Fields = Mapping[str, object]


class CompactForm:
    """Prompts of one to three hundred tokens whose answers are a few dozen."""

    def __init__(self, config: GameConfig) -> None:
        self._count = config.pairs
        folder = resources.files("azr_fast.games.azr") / "templates"
        self._words = tomllib.loads((folder / "compact.toml").read_text(encoding="utf-8"))

    def propose(
        self, kind: str, references: Sequence[Task], rng: random.Random
    ) -> tuple[tuple[Message, ...], str]:
        """Ask for a task of `kind`, about a shape of data drawn with `rng`."""
        if kind == "induction":
            return self._induction_proposal(references[0])
        words = self._words["triplet"]
        shown = [words["example"], *(reference.payload for reference in references)]
        messages: list[Message] = []
        for number, fields in enumerate(shown):
            messages += _turns(words, fields, ask="again" if number else "ask")
        request = _fill(words["last"], {"topic": rng.choice(words["topics"])})
        return (*messages, Message("user", request)), words["prefill"]

    def solve(self, task: Task) -> tuple[tuple[Message, ...], str]:
        """Show a task to a solver, without what the solver must find."""
        words, fields = self._words[task.kind], visible(task)
        if task.kind == "induction":
            pairs = [{"input": given, "output": result} for given, result in shown_pairs(task)]
            fields["pairs"] = "\n".join(_fill(words["pair"], pair) for pair in pairs)
        return _request(words, self._words["solved"], fields)

    def _induction_proposal(self, source: Task) -> tuple[tuple[Message, ...], str]:
        words, count = self._words["induction_proposal"], self._count
        examples = [
            {**example, "inputs": "\n".join(example["inputs"][:count]), "count": count}
            for example in words["examples"]
        ]
        return _request(words, examples, {**source.payload, "count": count})


def _request(
    words: Words, examples: Sequence[Fields], fields: Fields
) -> tuple[tuple[Message, ...], str]:
    """Worked examples, then the request."""
    messages = [message for example in examples for message in _turns(words, example)]
    request = Message("user", _fill(words["ask"], fields))
    return (*messages, request), _fill(words["prefill"], fields)


def _turns(words: Words, fields: Fields, ask: str = "ask") -> list[Message]:
    """A request and its answer, as they might have gone before."""
    return [
        Message("user", _fill(words[ask], fields)),
        Message("assistant", _fill(words["answer"], fields)),
    ]


def _fill(template: str, fields: Fields) -> str:
    return Template(template).substitute(fields)
