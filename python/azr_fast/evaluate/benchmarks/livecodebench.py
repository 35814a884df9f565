"""LiveCodeBench's code generation (Jain et al., arXiv 2403.07974): solve a contest's problem.

Programs read stdin and print, or are a method of a class `Solution`. The authors publish no right
answers.
"""

from __future__ import annotations

import json
from typing import Any

from azr_fast.evaluate.answers import program_in
from azr_fast.evaluate.benchmark import Benchmark, Failed, Hub, Record, Wording, ask
from azr_fast.evaluate.closeness import may_be_close, same_lines
from azr_fast.evaluate.harness import call_function
from azr_fast.evaluate.hidden_tests import read_tests
from azr_fast.evaluate.programs import NUMERIC, Budget
from azr_fast.sandbox.equality import equal
from azr_fast.sandbox.values import canonical, canonical_arguments, parse
from azr_fast.types import JSON, Task

BUDGET = Budget(cpu_seconds=12.0, memory_mib=1024, pool=NUMERIC)
# fmt: off
_MODULES = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random",
    "statistics", "itertools", "functools", "operator", "typing",
)
# fmt: on
_IMPORTS = "".join(f"from {module} import *\n" for module in _MODULES)
_HOW = {
    True: "Write a Python program that reads the input from stdin and prints the output.",
    False: "Complete the class below.",
}


class LiveCodeBench(Benchmark):
    """Public and hidden tests, all of which must pass."""

    name = "livecodebench"
    hub = Hub("livecodebench/code_generation_lite")
    fields = (
        "question_id, question_content, starter_code, public_test_cases, private_test_cases and "
        "metadata, as in livecodebench/code_generation_lite"
    )
    forms = {"direct": 2048}

    def task(self, record: Record) -> Task:
        tests = [
            *read_tests(record["public_test_cases"]),
            *read_tests(record["private_test_cases"]),
        ]
        metadata = json.loads(record.get("metadata") or "{}")
        payload: dict[str, JSON] = {
            "question": str(record["question_content"]),
            "starter": str(record.get("starter_code") or ""),
            "function": metadata.get("func_name"),
            "tests": [[str(test["input"]), str(test["output"])] for test in tests],
        }
        return self.make_task(record["question_id"], payload)

    def prompt(self, task: Task) -> Wording:
        starter = task.payload["starter"]
        shown = f"\n\n```python\n{starter}\n```" if starter else ""
        how = f"{_HOW[not starter]} Answer with one fenced block of Python."
        return ask(f"{task.payload['question']}\n\n{how}{shown}")

    async def grade(self, task: Task, answer: str) -> None:
        program = f"{_IMPORTS}{program_in(answer)}"
        tests: Any = task.payload["tests"]
        for given, expected in tests:
            await self._test(program, str(task.payload["function"] or ""), given, expected)

    async def _test(self, program: str, function: str, given: str, expected: str) -> None:
        programs = self.tools.programs
        if not function:
            right = same_lines(await programs.output(program, given, BUDGET), expected)
        else:
            arguments = canonical_arguments(json.loads(line) for line in given.split("\n") if line)
            entry = f"Solution().{function}"
            (value,) = await call_function(programs, program, entry, [arguments], BUDGET)
            right = _same(value, canonical(json.loads(expected)))
        if not right:
            raise Failed("wrong_output", f"for the input {given[:200]!r}")


def _same(value: str, expected: str) -> bool:
    return may_be_close(value, expected) and equal(as_json(parse(value)), parse(expected))


def as_json(value: Any) -> Any:
    """Tuples as lists, at any depth: JSON knows no others."""
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return value
