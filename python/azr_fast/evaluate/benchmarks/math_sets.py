"""Mathematics with short answers: the six sets of the AZR paper (table 1).

Answers are compared by math-verify, in a process that can be killed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from azr_fast.evaluate.answers import final_answer
from azr_fast.evaluate.benchmark import Benchmark, Failed, Hub, Malformed, Record, Wording, ask
from azr_fast.mathematics import last_boxed
from azr_fast.types import Task

_QUESTIONS = ("problem", "question", "Problem", "Question")
_ANSWERS = ("answer", "final_answer", "Answer")
_NAMES = ("unique_id", "id", "ID", "idx")


class MathBenchmark(Benchmark):
    """Reads a question and an answer under the names that the sets' authors use; the answer may
    be the last box of a `solution`."""

    fields = "problem or question, and answer, final_answer or a solution with a box"
    forms = {"reasoning": 1024}

    def task(self, record: Record) -> Task:
        question = str(_first(record, _QUESTIONS))
        name = next((record[key] for key in _NAMES if record.get(key) is not None), question)
        return self.make_task(name, {"question": question, "answer": self.expected(record)})

    def expected(self, record: Record) -> str:
        """The right answer of a record."""
        if any(record.get(key) is not None for key in _ANSWERS):
            found = _first(record, _ANSWERS)
            return _text(found[0] if isinstance(found, list) else found)
        boxed = last_boxed(str(_first(record, ("solution", "Solution"))))
        if boxed is None:
            raise ValueError("its solution has no box")
        return boxed

    def prompt(self, task: Task) -> Wording:
        return ask(
            f"{task.payload['question']}\n\n"
            r"Reason step by step, and put your final answer within \boxed{}."
        )

    async def grade(self, task: Task, answer: str) -> None:
        said, expected = final_answer(answer), str(task.payload["answer"])
        if said is None:
            raise Malformed("no_answer", answer[-200:])
        if not await asyncio.to_thread(self.tools.equality.equal, expected, said):
            raise Failed("wrong_answer", said)

    def gold(self, task: Task) -> str:
        return rf"\boxed{{{task.payload['answer']}}}"


def _first(record: Record, names: tuple[str, ...]) -> Any:
    for name in names:
        if record.get(name) is not None:
            return record[name]
    raise KeyError(names[0])


def _text(value: Any) -> str:
    """An answer as text: 27.0 is 27."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().strip("$")


class Aime24(MathBenchmark):
    name, hub = "aime24", Hub("HuggingFaceH4/aime_2024", split="train")


class Aime25(MathBenchmark):
    name, hub = "aime25", Hub("math-ai/aime25")


class Amc23(MathBenchmark):
    name, hub = "amc23", Hub("math-ai/amc23")


class Math500(MathBenchmark):
    name, hub = "math500", Hub("HuggingFaceH4/MATH-500")


class Minerva(MathBenchmark):
    name, hub = "minerva", Hub("math-ai/minervamath")


class OlympiadBench(MathBenchmark):
    name, hub = "olympiadbench", Hub("Hothan/OlympiadBench", "OE_TO_maths_en_COMP", "train")
