"""HumanEval+ (Liu et al., arXiv 2305.01210, evalplus): HumanEval with many more tests."""

from __future__ import annotations

import math
from typing import Any

from azr_fast.evaluate.benchmark import Failed, Hub, Record
from azr_fast.evaluate.benchmarks.humaneval import HumanEval
from azr_fast.evaluate.differential import Differential, inputs_of
from azr_fast.evaluate.programs import NUMERIC, Budget
from azr_fast.sandbox.values import parse, parse_arguments
from azr_fast.types import Task


class HumanEvalPlus(Differential, HumanEval):
    """Judged by what the right answer returns; the hub's records bring a test in place of inputs.

    The authors judge `find_zero` by the polynomial at what it returns: any zero will do.
    """

    name, family = "humaneval-plus", "humaneval"
    hub = Hub("evalplus/humanevalplus")
    fields = (
        "task_id, prompt, entry_point, canonical_solution and either base_input, plus_input and "
        "atol (evalplus release) or test (hub)"
    )
    budget = Budget(cpu_seconds=60.0, memory_mib=4096, pool=NUMERIC)

    def task(self, record: Record) -> Task:
        if "base_input" not in record:
            return super().task(record)
        plain = super().task({**record, "test": ""})
        inputs = inputs_of(record, lambda arguments: arguments)
        payload = {**plain.payload, "inputs": inputs, "tolerance": float(record["atol"])}
        return self.make_task(record["task_id"], payload)

    def judge_value(self, task: Task, question: str, value: str, expected: str) -> None:
        if task.payload["entry"] != "find_zero":
            super().judge_value(task, question, value, expected)
            return
        (coefficients,) = parse_arguments(question)
        if not _is_zero(coefficients, parse(value), float(str(task.payload["tolerance"]))):
            raise Failed("wrong_output", f"find_zero({question[:100]}) gave {value[:100]}")


def _is_zero(coefficients: Any, zero: object, tolerance: float) -> bool:
    """Whether the polynomial is near 0 there. It is computed with floats: powers of an integer of
    any size could take for ever."""
    try:
        at = float(zero) if isinstance(zero, int | float) else math.nan
        return bool(abs(sum(c * at**power for power, c in enumerate(coefficients))) <= tolerance)
    except OverflowError:
        return False
