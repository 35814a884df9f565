"""Does a benchmark's judge work? Right answers pass, and what is none of them scores 0."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from azr_fast.evaluate.benchmark import Benchmark
from azr_fast.evaluate.functions import FunctionBenchmark
from azr_fast.evaluate.recorded import first_question, replay
from azr_fast.types import Status, Task

_AT_ONCE = 16
GOLD = "gold answer"
# Programs that try to pass without an answer. `{entry}` is the function that is asked for.
_CHEATS = {
    "equal to all": "class A:\n    def __eq__(self, other): return True\n"
    "    def __getattr__(self, name): return self\n    __hash__ = None\n"
    "def {entry}(*a, **k): return A()",
    "clean exit": "import os\ndef {entry}(*a, **k): os._exit(0)",
    "looks at frames": "import sys\ndef {entry}(*a, **k):\n    frame = sys._getframe()\n"
    "    while frame.f_back:\n        frame = frame.f_back\n"
    "        for value in list(frame.f_locals.values()):\n"
    "            if isinstance(value, list): value.clear()\n    return None",
    "poisons builtins": "import builtins\nbuiltins.all = builtins.any = lambda *a: True\n"
    "builtins.isinstance = lambda *a: True\ndef {entry}(*a, **k): return True and None",
}
_EXPRESSIONS = {
    "equal to all": "type('A', (), {'__eq__': lambda s, o: True})()",
    "clean exit": "__import__('os')._exit(0)",
    "closes the bracket": "1) == 1 or (1",
}
_FORMS = ("<answer>assert f({0}) == {0}</answer>", "\\boxed{{{0}}}", "```output\n{0}\n```")


@dataclass(slots=True)
class Check:
    """One kind of answer over all items: how many passed, and which did otherwise than they should.

    `wrong` names the items, with what was seen."""

    kind: str
    tried: int = 0
    passed: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every answer got the verdict that it should."""
        return not self.wrong


async def validate(
    benchmark: Benchmark,
    tasks: Sequence[Task],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Check]:
    """Try right and wrong answers on every task."""
    checks: dict[str, Check] = {}
    turns, done = asyncio.Semaphore(_AT_ONCE), 0

    async def check(place: int) -> None:
        nonlocal done
        async with turns:
            task = tasks[place]
            question = await first_question(benchmark, task)
            # Worked examples hold answers, which may well be right for this task, too.
            asked = [one.content for one in question.messages if one.role == "user"]
            prompt = "\n".join(asked)
            for kind, answer in _answers(benchmark, tasks, place, prompt + question.prefill):
                await _try(benchmark, task, answer, checks.setdefault(kind, Check(kind)))
        done += 1
        on_progress(done, len(tasks))

    await asyncio.gather(*map(check, range(len(tasks))))
    return list(checks.values())


async def _try(benchmark: Benchmark, task: Task, answer: str, check: Check) -> None:
    verdict = await replay(benchmark, task, [answer])
    passed = verdict.status is Status.PASSED
    check.tried += 1
    check.passed += passed
    if passed is not (check.kind == GOLD):
        check.wrong.append(f"{task.key}: {verdict.code} {verdict.evidence}".strip())


def _answers(
    benchmark: Benchmark, tasks: Sequence[Task], place: int, prompt: str
) -> Iterator[tuple[str, str]]:
    task = tasks[place]
    gold = benchmark.gold(task)
    if gold is not None:
        yield GOLD, gold
    yield "empty answer", ""
    yield "echoed prompt", prompt
    others = (tasks[(place + shift) % len(tasks)] for shift in range(1, len(tasks)))
    other = next((one for one in others if benchmark.unlike(task, one)), None)
    if other is not None and (foreign := benchmark.gold(other)) is not None:
        yield "another's answer", foreign
    for kind, answer in _hostile(benchmark, task):
        yield f"hostile: {kind}", answer


def _hostile(benchmark: Benchmark, task: Task) -> Iterator[tuple[str, str]]:
    if isinstance(benchmark, FunctionBenchmark):
        for kind, program in _CHEATS.items():
            entry = str(task.payload["entry"])
            yield kind, f"```python\n{program.replace('{entry}', entry)}\n```"
        return
    for kind, expression in _EXPRESSIONS.items():
        yield kind, "\n".join(form.format(expression) for form in _FORMS)
