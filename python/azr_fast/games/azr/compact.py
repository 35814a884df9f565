"""The compact form: short few-shot chats for small models; the references are the examples."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from azr_fast.games.azr.composite import given_functions
from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.tasks import ERRORS, shown_pairs, visible
from azr_fast.types import Message, Source, Task

Words = Mapping[str, Any]  # a table of compact.toml
Fields = Mapping[str, object]
Wording = tuple[tuple[Message, ...], str]


class CompactForm:
    """Prompts of one to three hundred tokens whose answers are a few dozen."""

    def __init__(self, config: GameConfig) -> None:
        self._count = config.pairs
        self._words = read_words("compact")

    def propose(self, source: Source, rng: random.Random) -> Wording:
        """Ask for a task, about a shape of data drawn with `rng`."""
        if source.kind == "induction":
            return self._induction_proposal(source.references[0])
        words = self._words["error_triplet" if source.kind == ERRORS else "triplet"]
        shown = self._shown(words, [reference.payload for reference in source.references])
        request = self._last(words, source, {"topic": rng.choice(self._words["triplet"]["topics"])})
        return (*shown, Message("user", request)), words["prefill"]

    def solve(self, task: Task) -> Wording:
        """Show a task to a solver, without what the solver must find."""
        words, fields = self._words[task.kind], visible(task)
        if task.kind == "induction":
            pairs = [{"input": given, "output": result} for given, result in shown_pairs(task)]
            fields["pairs"] = "\n".join(fill(words["pair"], pair) for pair in pairs)
        examples = words.get("examples", self._words["solved"])
        return _request(words, examples, fields)

    def _shown(self, words: Words, references: Sequence[Fields]) -> list[Message]:
        """Earlier turns: a worked example, then the references as if they had been asked for."""
        messages = turns(words, words["example"])
        for fields in references:
            messages += turns(words, fields, ask="again")
        return messages

    def _last(self, words: Words, source: Source, fields: Fields) -> str:
        """The request: with functions that must be called, where there are some."""
        given = given_functions(source)
        if not given:
            return fill(words["last"], fields)
        functions, names = "\n\n".join(given.values()), ", ".join(f"`{name}`" for name in given)
        return fill(words["composite"], {**fields, "functions": functions, "names": names})

    def _induction_proposal(self, source: Task) -> Wording:
        words, count = self._words["induction_proposal"], self._count
        examples = [
            {**example, "inputs": "\n".join(example["inputs"][:count]), "count": count}
            for example in words["examples"]
        ]
        return _request(words, examples, {**source.payload, "count": count})


def read_words(name: str) -> dict[str, Any]:
    """A TOML file of words."""
    folder = resources.files("azr_fast.games.azr") / "templates"
    return tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))


def turns(words: Words, fields: Fields, ask: str = "ask") -> list[Message]:
    """A request and its answer, as they might have gone before."""
    return [
        Message("user", fill(words[ask], fields)),
        Message("assistant", fill(words["answer"], fields)),
    ]


def fill(template: str, fields: Fields) -> str:
    """The template with its fields."""
    return Template(template).substitute(fields)


def _request(words: Words, examples: Sequence[Fields], fields: Fields) -> Wording:
    """Worked examples, then the request."""
    messages = [message for example in examples for message in turns(words, example)]
    request = Message("user", fill(words["ask"], fields))
    return (*messages, request), fill(words["prefill"], fields)
