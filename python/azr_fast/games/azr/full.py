"""The full form: one detailed request with rules and examples, and room to think."""

from __future__ import annotations

import random
from collections.abc import Mapping
from importlib import resources
from string import Template

from azr_fast.games.azr.composite import given_functions
from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.tasks import Pair, shown_pairs, visible
from azr_fast.types import Message, Source, Task

_PREFILL = "<think>\n"


class FullForm:
    """Prompts after the idea of the paper (appendix, prompt figures), in words of our own."""

    def __init__(self, config: GameConfig) -> None:
        self._has_references = config.references > 0
        self._shows_outputs = config.reference_outputs
        self._common = {
            "format": _template("format").template.strip(),
            "forbidden": ", ".join(config.forbidden_modules) or "(all are allowed)",
            "count": str(config.pairs),
        }

    def propose(self, source: Source, rng: random.Random) -> tuple[tuple[Message, ...], str]:
        """Ask for a task. No random choice is made."""
        if source.kind == "induction":
            program = str(source.references[0].payload["program"])
            return self._wording("propose_induction", program=program)
        return self._wording(
            f"propose_{source.kind}",
            examples=self._examples(source),
            unlike=_file("unlike") if self._has_references else "",
            composite=_composite(given_functions(source)),
        )

    def solve(self, task: Task) -> tuple[tuple[Message, ...], str]:
        """Show a task to a solver, without what the solver must find."""
        fields = visible(task)
        if task.kind == "induction":
            fields["pairs"] = "\n\n".join(map(_shown_pair, shown_pairs(task)))
        return self._wording(f"solve_{task.kind}", **fields)

    def _examples(self, source: Source) -> str:
        """The references with their heading; nothing where none are ever shown."""
        if not self._has_references:
            return ""
        shown = "\n\n".join(map(self._example, source.references)) or "(none yet)"
        heading = "examples_with_outputs" if self._shows_outputs else "examples"
        return f"{_file(heading)}\n\n{shown}\n\n"

    def _example(self, task: Task) -> str:
        names = ("program", "input", "output") if self._shows_outputs else ("program", "input")
        labels = {"program": "python"}
        parts = [f"```{labels.get(name, name)}\n{task.payload[name]}\n```" for name in names]
        return "\n\n".join(parts)

    def _wording(self, name: str, **fields: str) -> tuple[tuple[Message, ...], str]:
        text = _template(name).substitute(self._common, **fields).strip()
        return (Message("user", text),), _PREFILL


def _composite(given: Mapping[str, str]) -> str:
    """The functions that must be called, with the request to call them; nothing without any."""
    if not given:
        return ""
    functions = "\n\n".join(given.values())
    names = ", ".join(f"`{name}`" for name in given)
    return _template("composite").substitute(functions=functions, names=names)


def _template(name: str) -> Template:
    return Template(_text(name))


def _file(name: str) -> str:
    return _text(name).strip("\n")


def _text(name: str) -> str:
    folder = resources.files("azr_fast.games.azr") / "templates" / "full"
    return (folder / f"{name}.txt").read_text(encoding="utf-8")


def _shown_pair(pair: Pair) -> str:
    arguments, output = pair
    return f"```input\n{arguments}\n```\n\n```output\n{output}\n```"
