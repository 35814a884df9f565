"""GSM8K (Cobbe et al., arXiv 2110.14168): word problems of grade school."""

from __future__ import annotations

from azr_fast.evaluate.benchmark import Hub, Record
from azr_fast.evaluate.benchmarks.math_sets import MathBenchmark


class Gsm8k(MathBenchmark):
    """The number after `####` is the answer."""

    name, hub = "gsm8k", Hub("openai/gsm8k", "main")
    forms = {"reasoning": 512}
    fields = "question and answer, which ends in #### and a number, as in openai/grade-school-math"

    def expected(self, record: Record) -> str:
        _, mark, number = str(record["answer"]).rpartition("####")
        if not mark:
            raise ValueError("its answer has no ####")
        return number.strip().replace(",", "")
