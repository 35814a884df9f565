"""HumanEval (Chen et al., arXiv 2107.03374): complete a function from its head and docstring."""

from __future__ import annotations

from azr_fast.evaluate.benchmark import Hub, Record, Wording, ask
from azr_fast.evaluate.functions import FunctionBenchmark, completed, fenced
from azr_fast.types import Task

REQUEST = "Complete this Python function. Answer with the whole function in one fenced block."


class HumanEval(FunctionBenchmark):
    """Judged by the authors' own test."""

    name, family = "humaneval", "humaneval"
    hub = Hub("openai/openai_humaneval")
    fields = "task_id, prompt, entry_point, canonical_solution and test, as in openai/human-eval"

    def task(self, record: Record) -> Task:
        prompt, entry = str(record["prompt"]), str(record["entry_point"])
        payload = {
            "prompt": prompt,
            "entry": entry,
            "gold": prompt + str(record["canonical_solution"]),
            "test": f"{record['test']}\ncheck({entry})\n",
        }
        return self.make_task(record["task_id"], payload)

    def prompt(self, task: Task) -> Wording:
        return ask(f"{REQUEST}\n\n{fenced(str(task.payload['prompt']))}")

    def program(self, task: Task, answer: str) -> str:
        return completed(str(task.payload["prompt"]), str(task.payload["entry"]), answer)
