"""The full form: one detailed request with rules and examples, and room to think."""

from __future__ import annotations

import random
from collections.abc import Sequence
from importlib import resources
from string import Template

from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.tasks import Pair, shown_pairs, visible
from azr_fast.types import Message, Task

_PREFILL = "<think>\n"


class FullForm:
    """Prompts after the idea of the paper (appendix, prompt figures), in words of our own."""

    def __init__(self, config: GameConfig) -> None:
        self._common = {
            "format": _template("format").template.strip(),
            "forbidden": ", ".join(config.forbidden_modules) or "(all are allowed)",
            "count": str(config.pairs),
        }

    def propose(
        self, kind: str, references: Sequence[Task], rng: random.Random
    ) -> tuple[tuple[Message, ...], str]:
        """Ask for a task of `kind`. No random choice is made."""
        if kind == "induction":
            return self._wording("propose_induction", program=str(references[0].payload["program"]))
        shown = "\n\n".join(map(_example, references)) or "(none yet)"
        return self._wording(f"propose_{kind}", references=shown)

    def solve(self, task: Task) -> tuple[tuple[Message, ...], str]:
        """Show a task to a solver, without what the solver must find."""
        fields = visible(task)
        if task.kind == "induction":
            fields["pairs"] = "\n\n".join(map(_shown_pair, shown_pairs(task)))
        return self._wording(f"solve_{task.kind}", **fields)

    def _wording(self, name: str, **fields: str) -> tuple[tuple[Message, ...], str]:
        text = _template(name).substitute(self._common, **fields).strip()
        return (Message("user", text),), _PREFILL


def _template(name: str) -> Template:
    folder = resources.files("azr_fast.games.azr") / "templates" / "full"
    return Template((folder / f"{name}.txt").read_text(encoding="utf-8"))


def _example(task: Task) -> str:
    program, arguments = task.payload["program"], task.payload["input"]
    return f"```python\n{program}\n```\n\n```input\n{arguments}\n```"


def _shown_pair(pair: Pair) -> str:
    arguments, output = pair
    return f"```input\n{arguments}\n```\n\n```output\n{output}\n```"
