"""The AZR game behind the core's protocol."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from azr_fast.config.schema import GameConfig
from azr_fast.games.azr import tasks
from azr_fast.games.azr.execute import Executor
from azr_fast.games.azr.gate import Gate
from azr_fast.games.azr.grade import Grader
from azr_fast.games.azr.prompts import Prompter
from azr_fast.games.azr.refusal import Malformed, Refusal
from azr_fast.sandbox.client import Client
from azr_fast.sandbox.usage import Usage
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.types import Answer, Judgement, Prompt, Status, Task

_EVIDENCE_CHARS = 500
_TRIPLET_KINDS = ("deduction", "abduction")


class AzrGame:
    """Deduction, abduction and induction over Python programs, verified by execution."""

    def __init__(self, config: GameConfig, client: Client) -> None:
        self._kinds = config.kinds
        repeated = Executor(client, config.determinism_runs, config.max_value_chars)
        # Solutions are compared as values, so the order of a dict may follow the hash seed.
        once = Executor(client, 1, config.max_value_chars)
        self._gate = Gate(config, repeated)
        self._grader = Grader(config, once)
        self._prompter = Prompter(config)
        self._usage = Usage(client)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Task types, in the order they are played."""
        return self._kinds

    def first_tasks(self) -> Sequence[Task]:
        """The identity triplet. Induction needs no first task: it proposes about the others'."""
        return [tasks.identity(kind) for kind in _TRIPLET_KINDS]

    def proposal_prompts(
        self, kind: str, count: int, buffer: TaskBuffer, rng: random.Random
    ) -> list[Prompt]:
        """`count` prompts that ask for a new task of `kind`, determined by the buffer and rng."""
        return self._prompter.proposals(kind, count, buffer, rng)

    def gate(self, answer: Answer) -> Judgement:
        """Parse a proposal and check it by execution; a PASSED judgement carries the task."""
        return _judge(self._gate.task, answer, Status.REJECTED)

    def solve_prompt(self, task: Task) -> Prompt:
        """The prompt that shows `task` to a solver, without what the solver must find."""
        return self._prompter.solution(task)

    def grade(self, answer: Answer) -> Judgement:
        """Parse a solution and check it by execution against `answer.prompt.task`."""
        return _judge(self._grader.check, answer, Status.WRONG)

    def seeds_from(self, task: Task) -> Sequence[Task]:
        """A triplet serves deduction and abduction alike (paper, section 3.3.1)."""
        if task.kind in _TRIPLET_KINDS:
            return [Task(kind, task.key, task.payload, task.parents) for kind in _TRIPLET_KINDS]
        return [task]

    def verification(self) -> Mapping[str, Any]:
        """How many programs ran, and how the sandbox served them."""
        return self._usage.since_last()


def _judge(check: Callable[[Answer], Task | None], answer: Answer, failed: Status) -> Judgement:
    try:
        return Judgement(Status.PASSED, "ok", task=check(answer))
    except Refusal as refusal:
        status = Status.MALFORMED if isinstance(refusal, Malformed) else failed
        return Judgement(status, refusal.code, refusal.evidence[:_EVIDENCE_CHARS])
