"""CRUXEval (Gu et al., arXiv 2401.03065), output prediction: what does a function return?

The forms `compact` and `full` are those that the AZR game trains on. In `direct` and `reasoning`
an assertion is completed, as in the paper, at once or after steps in words.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from azr_fast.evaluate.benchmark import Benchmark, Hub, Record, Wording, ask
from azr_fast.evaluate.predictions import judge_output, said_in
from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.prompts import open_form
from azr_fast.sandbox.equality import equal
from azr_fast.sandbox.values import parse
from azr_fast.types import Task

_REASON = "Work through the code step by step. Then write the whole assertion"
_DIRECT = "Write the whole assertion and nothing else,"
_FORM = "between <answer> and </answer>."


class Cruxeval(Benchmark):
    """What both predictions share."""

    family = "cruxeval"
    hub: ClassVar[Hub | None] = Hub("cruxeval-org/cruxeval")
    fields = "code, input, output and id, as in facebookresearch/cruxeval"
    forms = {"direct": 256, "reasoning": 1024, "compact": 256, "full": 2048}
    kind: str  # of the AZR game's task
    block: str  # of the AZR game's answer
    sought: str  # what ?? stands for, in words

    @abstractmethod
    def assertion(self, task: Task) -> str:
        """The assertion with ?? in it."""

    @abstractmethod
    def begun(self, task: Task) -> str:
        """What a direct answer begins with. It ends where tokens do: a tokenizer has tokens such as
        `('` and ` '`, and a model that is given their first half goes on without the other."""

    def task(self, record: Record) -> Task:
        payload = {name: str(record[key]) for name, key in _FIELDS.items()}
        return self.make_task(record["id"], payload)

    def prompt(self, task: Task) -> Wording:
        if self.form in ("compact", "full"):
            form = open_form(GameConfig(prompts=self.form))  # type: ignore[arg-type]
            return form.solve(Task(self.kind, task.key, task.payload))
        code, assertion, begun = task.payload["program"], self.assertion(task), self.begun(task)
        how, prefill = (_DIRECT, begun) if self.form == "direct" else (_REASON, "")
        return ask(
            f"```python\n{code}\n\nassert {assertion}\n```\n"
            f"Replace ?? {self.sought}, so that the assertion holds. {how} {_FORM}",
            prefill,
        )

    def gold(self, task: Task) -> str:
        found = str(task.payload[self.block])
        if self.form in ("compact", "full"):
            return f"```{self.block}\n{found}\n```"
        return f"<answer>assert {self.assertion(task).replace('??', found)}</answer>"


_FIELDS = {"program": "code", "input": "input", "output": "output"}


class CruxevalOutput(Cruxeval):
    """Predict the output."""

    name, kind, block = "cruxeval-o", "deduction", "output"
    sought = "by the value that the call returns, as a Python literal"

    def assertion(self, task: Task) -> str:
        return f"f({task.payload['input']}) == ??"

    def begun(self, task: Task) -> str:
        return f"<answer>assert f({task.payload['input']}) =="

    async def grade(self, task: Task, answer: str) -> None:
        said = said_in(answer, self.form, self.block)
        await judge_output(self.tools.programs, said, str(task.payload["output"]))

    def unlike(self, task: Task, other: Task) -> bool:
        """An output of another value, and not of another spelling."""
        ours, theirs = (parse(str(one.payload["output"])) for one in (task, other))
        return not equal(ours, theirs)
