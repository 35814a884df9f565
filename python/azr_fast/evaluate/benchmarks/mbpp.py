"""MBPP (Austin et al., arXiv 2108.07732): write a function from a sentence and three assertions.

Both releases are read: the full one (text, code, test_list) and the sanitized one (prompt).
"""

from __future__ import annotations

from azr_fast.evaluate.answers import defined_names, program_in
from azr_fast.evaluate.benchmark import Hub, Record, Wording, ask
from azr_fast.evaluate.functions import FunctionBenchmark
from azr_fast.types import Task

REQUEST = "Answer with the whole function in one fenced block of Python."


class Mbpp(FunctionBenchmark):
    """Judged by the authors' assertions."""

    name, family = "mbpp", "mbpp"
    hub = Hub("google-research-datasets/mbpp", "full")
    fields = "task_id, text or prompt, code and test_list, as in google-research/mbpp"

    def task(self, record: Record) -> Task:
        code, assertions = str(record["code"]), [str(one) for one in record["test_list"]]
        text = str(record["prompt"] if "prompt" in record else record["text"])
        setup = [*(record.get("test_imports") or []), record.get("test_setup_code") or ""]
        payload = {
            "text": f"{text.strip()}\n\n" + "\n".join(assertions),
            "entry": tested_function(code, "\n".join(assertions)),
            "gold": code.replace("\r\n", "\n"),
            "test": str(record.get("test") or "\n".join([*setup, *assertions])),
        }
        return self.make_task(f"Mbpp/{record['task_id']}", payload)

    def prompt(self, task: Task) -> Wording:
        return ask(f"{task.payload['text']}\n\n{REQUEST}")

    def program(self, task: Task, answer: str) -> str:
        return program_in(answer, str(task.payload["entry"]))


def tested_function(code: str, test: str) -> str:
    """The function of the right answer that the assertions call; ValueError where there is none."""
    called = [name for name in sorted(defined_names(code)) if f"{name}(" in test]
    if not called:
        raise ValueError("no function of its code is in its assertions")
    return max(called, key=len)
