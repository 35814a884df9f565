"""CRUXEval (Gu et al., arXiv 2401.03065), input prediction: what makes a function return it?"""

from __future__ import annotations

from azr_fast.evaluate.benchmarks.cruxeval import Cruxeval
from azr_fast.evaluate.literals import call_of_equation
from azr_fast.evaluate.predictions import judge_input, said_in
from azr_fast.types import Task


class CruxevalInput(Cruxeval):
    """Find an input; any that gives the output is right."""

    name, kind, block = "cruxeval-i", "abduction", "input"
    sought = "by arguments, as Python literals; any that fit will do"

    def assertion(self, task: Task) -> str:
        return f"f(??) == {task.payload['output']}"

    def begun(self, task: Task) -> str:
        return "<answer>assert f"

    async def grade(self, task: Task, answer: str) -> None:
        said, code = said_in(answer, self.form, self.block), str(task.payload["program"])
        await judge_input(self.tools.programs, said, code, "f", str(task.payload["output"]))

    def unlike(self, task: Task, other: Task) -> bool:
        """Another number of arguments: an input of another item may well be right here, too."""
        return _arity(task) != _arity(other)


def _arity(task: Task) -> int:
    return len(call_of_equation(str(task.payload["input"]), "f").args)
