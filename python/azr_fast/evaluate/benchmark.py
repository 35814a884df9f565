"""What a benchmark supplies: where its tasks come from, its prompt, its grader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from azr_fast.evaluate.programs import Programs
from azr_fast.games.azr.refusal import Failed, Malformed, Refusal
from azr_fast.games.game import Chat
from azr_fast.mathematics import Equality
from azr_fast.types import JSON, Message, Status, Task, Verdict

__all__ = ["Benchmark", "Failed", "GoldFailed", "Hub", "Malformed", "Record", "Tools", "Wording"]

Record = Mapping[str, Any]  # a line of a benchmark's file, as its authors publish it
Wording = tuple[tuple[Message, ...], str]  # messages, and the text that the answer starts with
_EVIDENCE_CHARS = 500


class GoldFailed(Exception):  # noqa: N818 - what happened
    """The authors' own answer gives nothing to judge others by: no answer is to blame for that."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Where a benchmark's records are on the Hugging Face hub."""

    path: str
    name: str | None = None
    split: str = "test"


@dataclass(frozen=True, slots=True)
class Tools:
    """What graders may use: programs run in the sandbox, answers compared as mathematics."""

    programs: Programs
    equality: Equality


class Benchmark(ABC):
    """A game with given tasks: `solve` is a game's, and the tasks come from records.

    An instance lives for one evaluation; many of its tasks are solved at once in one event loop.
    """

    name: ClassVar[str]  # as it is typed; that of the entry point
    hub: ClassVar[Hub | None] = None  # None: --data is the only source
    fields: ClassVar[str]  # of a record, for people whose file has others
    # Ways to word the prompt, the default first, each with the tokens that an answer may have.
    forms: ClassVar[Mapping[str, int]] = {"direct": 512}
    family: ClassVar[str] = ""  # benchmarks about the same items share one; empty: the name

    def __init__(self, tools: Tools, form: str = "") -> None:
        self.tools = tools
        self.form = form or next(iter(self.forms))
        assert self.form in self.forms

    @abstractmethod
    def task(self, record: Record) -> Task:
        """The task of a record, from `make_task`. Raises KeyError, TypeError or ValueError for a
        record of another form."""

    @abstractmethod
    def prompt(self, task: Task) -> Wording:
        """What the model is asked. It never holds what the model must find."""

    @abstractmethod
    async def grade(self, task: Task, answer: str) -> None:
        """Return for a right answer. Raises Malformed for one that cannot be read, Failed for one
        that is wrong. What a model wrote is data: it is run in the sandbox alone."""

    def records(self) -> Iterable[Record] | None:
        """Records that the benchmark makes itself; None where they come from a file or the hub."""
        return None

    def gold(self, task: Task) -> str | None:
        """A right answer as a model would write it; None where the authors publish none."""
        return None

    def unlike(self, task: Task, other: Task) -> bool:
        """Whether a right answer to `other` is surely none to `task`."""
        return self.gold(task) != self.gold(other)

    async def solve(self, task: Task, chat: Chat) -> Verdict:
        """Ask once and grade what is said. Benchmarks of several turns have their own."""
        messages, prefill = self.prompt(task)
        return await self.judge(task, await chat.say(*messages, prefill=prefill))

    async def judge(self, task: Task, answer: str) -> Verdict:
        """The grade as a verdict."""
        try:
            await self.grade(task, answer)
        except GoldFailed as failed:
            return Verdict(Status.FAILED, "gold_failed", str(failed)[:_EVIDENCE_CHARS])
        except Refusal as refusal:
            status = Status.MALFORMED if isinstance(refusal, Malformed) else Status.WRONG
            return Verdict(status, refusal.code, refusal.evidence[:_EVIDENCE_CHARS])
        return Verdict(Status.PASSED, "ok")

    def make_task(self, item: object, payload: Mapping[str, JSON]) -> Task:
        """A task of this benchmark; `item` is what its authors call it."""
        return Task(self.name, str(item), payload)

    def cluster(self, task: Task) -> str:
        """What tells items apart over all benchmarks: scores on one item depend on each other."""
        return f"{self.family or self.name}/{task.key}"


def ask(text: str, prefill: str = "") -> Wording:
    """A prompt of one message."""
    return (Message("user", text),), prefill
