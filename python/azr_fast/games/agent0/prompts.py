"""How a question is asked for, and how it is shown to an executor."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from azr_fast.games.agent0.config import Agent0Section
from azr_fast.types import Message

Wording = tuple[tuple[Message, ...], str]  # messages, and what the answer begins with


class Prompts:
    """The prompts of a game's rules. Curriculum agents are told of no tool: they have none."""

    def __init__(self, rules: Agent0Section) -> None:
        self._rules = rules
        file = resources.files("azr_fast.games.agent0") / "words.toml"
        self._all = tomllib.loads(file.read_text(encoding="utf-8"))
        self._words = self._all[rules.prompts]

    def propose(self, seed: int) -> Wording:
        """Ask for a question, about a field that `seed` draws where fields are named."""
        words, topic = self._words["propose"], ""
        if self._rules.topics:
            names, line = self._all["topics"]["names"], self._all["topics"]["line"]
            topic = " " + _fill(line, {"topic": random.Random(seed).choice(names)})
        ask = Message("user", _fill(words["user"], {"topic": topic}))
        if self._rules.prompts == "full":
            program = self._words["program"]["text"] if self._rules.programs else ""
            return (_asking(words["task"] + program, ask.content),), ""
        return (*self._examples(words), ask), words["prefill"]

    def solve(self, question: str) -> Wording:
        """Ask for the answer of a question, with the tool where there is one."""
        words, rules = self._words["solve"], self._rules
        if rules.tool_calls:
            memory = words.get(rules.tool_memory, "")
            task = _fill(words["task"], {"calls": rules.tool_calls, "memory": memory})
        else:
            task = words["plain"]
        first, *later = [*self._solved(words.get("examples", ())), Message("user", question)]
        return (_asking(task, first.content), *later), ""

    def _examples(self, words: Mapping[str, Any]) -> list[Message]:
        turns = []
        for example in words["examples"]:
            said = f"<question>{example['question']}</question>\n\\boxed{{{example['answer']}}}"
            if self._rules.programs:
                said += f"\n```python\n{example['program']}\n```"
            turns += [
                Message("user", _fill(words["user"], {"topic": ""})),
                Message("assistant", said),
            ]
        return turns

    def _solved(self, examples: Sequence[Mapping[str, str]]) -> list[Message]:
        turns = []
        for one in examples:
            said = one["reasoning"]
            if self._rules.tool_calls:
                block = f"```python\n{one['program']}\n```\n```output\n{one['output']}\n```"
                said = f"{one['before']}\n{block}\n{one['after']}"
            turns += [Message("user", one["question"]), Message("assistant", said)]
        return turns


def _asking(task: str, question: str) -> Message:
    """What is to be done, and the first that it is to be done with. Some chat templates have no
    place for a system message."""
    return Message("user", f"{task.strip()}\n\n{question}")


def _fill(template: str, fields: Mapping[str, object]) -> str:
    return Template(template).substitute(fields)
