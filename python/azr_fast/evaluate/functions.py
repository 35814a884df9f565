"""Benchmarks that ask for a function: the program that an answer gives, called and judged."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

from azr_fast.evaluate.answers import before_function, defined_names, program_in
from azr_fast.evaluate.benchmark import Benchmark, Failed, GoldFailed, Malformed, Tools
from azr_fast.evaluate.harness import AuthorsTest, call_function
from azr_fast.evaluate.programs import NUMERIC, Budget
from azr_fast.games.azr.programs import is_python
from azr_fast.types import Task


async def of_gold(values: Awaitable[list[str]]) -> list[str]:
    """What the authors' own program gives. Raises GoldFailed."""
    try:
        return await values
    except Failed as failed:
        raise GoldFailed(f"{failed.code} {failed.evidence}") from None


def fenced(program: str) -> str:
    """A program as an answer gives it."""
    return f"```python\n{program.strip(chr(10))}\n```"


def completed(prompt: str, entry: str, answer: str) -> str:
    """The whole program of an answer to a prompt that ends in the head of `entry`: with the imports
    and helpers of the prompt before it, or, where the answer gives a body alone, after the prompt.
    Raises Malformed.
    """
    try:
        program = program_in(answer, entry)
    except Malformed:
        if answer.strip() and is_python(prompt + answer):
            return prompt + answer
        raise
    if entry not in defined_names(program) and is_python(prompt + program):
        return prompt + program
    return f"{before_function(prompt, entry)}\n{program}"


class FunctionBenchmark(Benchmark):
    """The payload has `entry`, the function's name, `gold`, a right program, and `test`, the text
    of a module that calls it. Programs may import numpy."""

    forms: ClassVar[Mapping[str, int]] = {"direct": 1024}
    budget = Budget(cpu_seconds=10.0, pool=NUMERIC)

    def __init__(self, tools: Tools, form: str = "") -> None:
        super().__init__(tools, form)
        self._questions: dict[str, list[str]] = {}

    @abstractmethod
    def program(self, task: Task, answer: str) -> str:
        """The program that an answer gives. Raises Malformed."""

    def gold(self, task: Task) -> str | None:
        """The authors' program."""
        return fenced(str(task.payload["gold"]))

    def unlike(self, task: Task, other: Task) -> bool:
        """A function of another name."""
        return task.payload["entry"] != other.payload["entry"]

    async def grade(self, task: Task, answer: str) -> None:
        """Call the function as the test does, then let the test judge its values."""
        program, entry = self.program(task, answer), str(task.payload["entry"])
        test = AuthorsTest(
            self.tools.programs,
            str(task.payload["gold"]),
            entry,
            str(task.payload["test"]),
            self.budget,
        )
        if task.key not in self._questions:
            self._questions[task.key] = await of_gold(test.questions())
        questions = self._questions[task.key]
        await test.check(questions, await self.call(program, entry, questions))

    async def call(self, program: str, entry: str, questions: list[str], **how: Any) -> list[str]:
        """The function's values. Raises Failed."""
        return await call_function(
            self.tools.programs, program, entry, questions, self.budget, **how
        )
