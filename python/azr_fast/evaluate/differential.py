"""Judging a function by what a right one returns for the same inputs, as EvalPlus does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azr_fast.evaluate.benchmark import Failed, Record
from azr_fast.evaluate.closeness import close, may_be_close
from azr_fast.evaluate.functions import FunctionBenchmark, of_gold
from azr_fast.sandbox.values import canonical_arguments, parse
from azr_fast.types import JSON, Task


def inputs_of(record: Record, restore: Callable[[list[Any]], Any]) -> list[JSON]:
    """Canonical texts of the argument lists of a record of evalplus. `restore` gives arguments
    back the types that JSON lacks."""
    inputs = [*record["base_input"], *record["plus_input"]]
    return [canonical_arguments(restore(list(arguments))) for arguments in inputs]


class Differential(FunctionBenchmark):
    """Judges by `inputs` of the payload where it has them, else by its `test`.

    `tolerance` of the payload is the error that the authors allow a number."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._expected: dict[str, list[str]] = {}

    async def grade(self, task: Task, answer: str) -> None:
        """Compare the function's values with those of the right one."""
        if "inputs" not in task.payload:
            await super().grade(task, answer)
            return
        program = self.program(task, answer)
        if task.key not in self._expected:
            self._expected[task.key] = await of_gold(self._values(task, str(task.payload["gold"])))
        values = await self._values(task, program)
        for question, value, expected in zip(
            self._inputs(task), values, self._expected[task.key], strict=True
        ):
            if value == expected:  # as texts; others may be equal, too
                continue
            if not may_be_close(value, expected):
                raise Failed("wrong_output", f"f({question[:100]}) gave {value[:100]}")
            self.judge_value(task, question, value, expected)

    def judge_value(self, task: Task, question: str, value: str, expected: str) -> None:
        """Raise Failed for a value that is not right."""
        tolerance = float(str(task.payload["tolerance"]))
        if not close(parse(value), parse(expected), tolerance):
            raise Failed("wrong_output", f"f({question[:100]}) gave {value[:100]}")

    def asks_whether(self, task: Task) -> bool:
        """Whether it is only asked if the function returns something, and not what."""
        return False

    def _inputs(self, task: Task) -> list[str]:
        inputs = task.payload["inputs"]
        assert isinstance(inputs, list)
        return [str(one) for one in inputs]

    async def _values(self, task: Task, program: str) -> list[str]:
        entry, whether = str(task.payload["entry"]), self.asks_whether(task)
        return await self.call(program, entry, self._inputs(task), not_none=whether)
