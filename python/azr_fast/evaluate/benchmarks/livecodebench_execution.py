"""LiveCodeBench's code execution (Jain et al., arXiv 2403.07974): what does a call return?"""

from __future__ import annotations

from azr_fast.evaluate.benchmark import Benchmark, Hub, Record, Wording, ask
from azr_fast.evaluate.predictions import judge_output, said_in
from azr_fast.types import Task


class LiveCodeBenchExecution(Benchmark):
    """Complete the assertion, at once or after steps in words."""

    name = "livecodebench-execution"
    hub = Hub("livecodebench/execution-v2")
    fields = "code, input, which is a call, output and id, as in livecodebench/execution-v2"
    forms = {"direct": 256, "reasoning": 2048}

    def task(self, record: Record) -> Task:
        payload = {key: str(record[key]) for key in ("code", "input", "output")}
        return self.make_task(record["id"], payload)

    def prompt(self, task: Task) -> Wording:
        code, call = task.payload["code"], task.payload["input"]
        how = "Write the whole assertion and nothing else,"
        if self.form == "reasoning":
            how = "Work through the code step by step. Then write the whole assertion"
        return ask(
            f"```python\n{code}\n\nassert {call} == ??\n```\n"
            "Replace ?? by the value that the call returns, as a Python literal, so that the "
            f"assertion holds. {how} between <answer> and </answer>.",
            f"<answer>assert {call} ==" if self.form == "direct" else "",
        )

    async def grade(self, task: Task, answer: str) -> None:
        said = said_in(answer, self.form, "output")
        await judge_output(self.tools.programs, said, str(task.payload["output"]))

    def gold(self, task: Task) -> str:
        return f"<answer>assert {task.payload['input']} == {task.payload['output']}</answer>"
