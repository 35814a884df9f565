"""What a game supplies, and what it may use. The loop knows nothing else about it."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from azr_fast.types import Family, Message, Posed, Sampling, Source, Status, Task, Verdict


class Chat(Protocol):
    """A conversation with the model, as a game sees it."""

    @property
    def sampling(self) -> Sampling:
        """How a turn is sampled unless `say` is told otherwise."""

    @property
    def truncated(self) -> bool:
        """Whether the model's last turn was cut off at the token limit."""

    async def say(
        self, *messages: Message, prefill: str = "", sampling: Sampling | None = None
    ) -> str:
        """Add messages, let the model answer, and return the whole of its turn.

        `prefill` begins the model's turn in its place, and is part of what is returned; the end of
        the turn is not. Raises `errors.ContextFull` where the messages leave no room for an answer,
        and UserError where the model's chat template cannot keep what was said before them.
        """

    async def resume(self, text: str, *, sampling: Sampling | None = None) -> str:
        """Put text into the model's unfinished turn, such as the output of a tool that it called,
        let it go on, and return the whole of its turn. Raises `errors.ContextFull`."""


class Tasks(Protocol):
    """The tasks that were posed so far."""

    step: int  # that is being played; 0 while the buffers are seeded

    def posed(self, kinds: Sequence[str]) -> list[Posed]:
        """The tasks of the given types, by type, the oldest first."""

    def draw(self, kinds: Sequence[str], count: int, rng: random.Random) -> list[Task]:
        """Up to `count` tasks of the given types, uniform and without replacement."""


class Game(Protocol):
    """Rules of one game. A class that names this one as its base inherits what few games change.

    Many episodes of a game are played at once in one event loop. `propose` and `solve` wait for
    nothing but their chat and the sandbox, and share no state between episodes.
    """

    @property
    @abstractmethod
    def kinds(self) -> tuple[str, ...]:
        """Task types, in the order they are played."""

    @property
    def prices_known_tasks(self) -> bool:
        """Whether a known task that is proposed again is solved to price it once more."""
        return False

    @abstractmethod
    def first_tasks(self) -> Sequence[Task]:
        """Tasks that need no model: the floor every store starts from."""

    def seeds_from(self, task: Task) -> Sequence[Task]:
        """A seed task as a task of every kind it can serve (AZR: deduction seeds abduction)."""
        return (task,)

    async def verify(self, task: Task) -> Verdict:
        """Check a task of a file (`seeding.file`), of which nothing is believed: a PASSED verdict
        carries the task as it was found to be. A game that cannot check it passes none."""
        return Verdict(Status.REJECTED, "not_verifiable", "the game checks no tasks of files")

    @abstractmethod
    def sources(self, kind: str, count: int, tasks: Tasks, rng: random.Random) -> Sequence[Source]:
        """What `count` proposals of `kind` are made from; the same for equal tasks and rng."""

    @abstractmethod
    async def propose(self, source: Source, chat: Chat) -> Verdict:
        """Ask for a task and check it by execution; a PASSED verdict carries the task."""

    @abstractmethod
    async def solve(self, task: Task, chat: Chat) -> Verdict:
        """Ask for a solution and check it. The chat never holds what the solver must find."""

    @abstractmethod
    def score(self, families: Sequence[Family]) -> None:
        """Set the reward of every episode of a step that did not fail. Pure but for that."""

    def rate(self, family: Family) -> float:
        """How sure solvers are of the task, after `score`, for the choice of a pool: the share of
        right solutions, or where they vote, of those that agree with the most."""
        return family.solve_rate

    def label(self, family: Family) -> Task:
        """The family's task as a pool keeps it, after `score`; where solutions vote, with the
        winner as what is right."""
        assert family.task is not None
        return family.task

    def follow_ups(self, family: Family) -> Sequence[Task]:
        """Tasks that a family gives rise to, such as one made of a failed solution."""
        return ()

    def verification(self) -> Mapping[str, Any]:
        """How programs were run since the last call, for the metrics."""
        return {}
