"""The nouns of self-play. No game is known here: `kind`, `payload` and `facts` are the game's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import Any

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]
EpisodeId = tuple[int, ...]
LEAST_TEMPERATURE = 0.01  # vLLM takes smaller ones for this one


class Role(StrEnum):
    """Who speaks in an episode: the one that poses tasks or the one that solves them."""

    PROPOSER = "proposer"
    SOLVER = "solver"


class Status(StrEnum):
    """How far an episode got, worst first."""

    FAILED = "failed"  # it broke off before a verdict; nothing of it is learnt
    MALFORMED = "malformed"  # what was said could not be parsed
    REJECTED = "rejected"  # a proposal that parsed and failed a check
    WRONG = "wrong"  # a solution that parsed and is not correct
    PASSED = "passed"  # a valid task, or a correct solution


class Stop(StrEnum):
    """Why the model stopped speaking."""

    END = "end"  # it ended its turn
    STRING = "string"  # it said a stop string of the request
    LENGTH = "length"  # it was cut off at the token limit


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str  # "system" | "user" | "assistant" | "tool"
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one turn is sampled."""

    max_tokens: int
    temperature: float = 1.0  # 0: the most likely token each time
    top_p: float = 1.0
    stop: tuple[str, ...] = ()  # strings that end the turn; the turn holds the one it said

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be sampled, or not alike on both engines."""
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}: a turn has at least 1")
        if self.temperature != 0.0 and not LEAST_TEMPERATURE <= self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}: 0, or at least 0.01")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p is {self.top_p}: a share of probability above 0")
        if not all(self.stop):
            raise ValueError("an empty stop string would end every turn")


@dataclass(frozen=True, slots=True)
class Task:
    """A posed problem. Equal `key` means the same problem, whatever its spelling."""

    kind: str  # the task type, named by the game
    key: str  # canonical hash, by which tasks are told apart
    payload: Mapping[str, JSON]  # everything needed to show the task and to grade a solution
    parents: tuple[str, ...] = ()  # keys of the tasks it was made from; for the study of a run
    order: int = 1  # 2 for a task that was made of a failed solution
    label: str = "execution"  # where the right answer comes from; "vote", "tests", … are others
    checks: tuple[str, ...] = ()  # names of the checks that it passed; for the study of a run
    # Of a task in a pool: the share of solutions that were right, or agreed, when it was chosen.
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Posed:
    """A task as the buffers know it."""

    task: Task
    step: int  # in which it was posed; 0 for a seed
    accuracy: float | None = None  # its Monte-Carlo solve rate, where it was priced


@dataclass(frozen=True, slots=True)
class Source:
    """What a proposal is made from. Equal sources give equal prompts."""

    kind: str  # of the task that is asked for
    references: tuple[Task, ...] = ()  # tasks that are shown or built on
    seed: int = 0  # of whatever else the game draws for the prompt

    @property
    def key(self) -> tuple[str, tuple[str, ...], int]:
        """What tells sources apart."""
        return self.kind, tuple(task.key for task in self.references), self.seed


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an episode came to."""

    status: Status
    code: str  # stable reason, such as "ok", "no_answer" or "nondeterministic"
    evidence: str = ""  # for people: what was seen
    task: Task | None = None  # the task posed, when a proposal passed
    answer: str | None = None  # the solution given, where solutions vote


UNJUDGED = Verdict(Status.FAILED, "unjudged")


@dataclass(slots=True)
class Episode:
    """One conversation of one role, from the first prompt to its reward.

    `token_ids`, `sampled` and `logprobs` are parallel: a token that the model did not sample (a
    prompt, a tool's output, the template's marks) is not trained on and has log-prob 0.
    """

    id: EpisodeId  # (3, 0) solves what (3,) proposed
    role: Role
    kind: str
    source: Source | None = None  # of a proposer
    task: Task | None = None  # of a solver
    version: int = 0  # updates that the weights it was sampled from had seen
    token_ids: list[int] = field(default_factory=list)
    sampled: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)  # of each turn of the model
    messages: list[Message] = field(default_factory=list)  # the conversation as text, for people
    verdict: Verdict = UNJUDGED
    reward: float = 0.0
    advantage: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)  # numbers for rewards and metrics

    @property
    def group(self) -> tuple[str, Role]:
        """The task-role group of TRR++ (arXiv 2505.03335, section 3.3.3)."""
        return self.kind, self.role

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """The tokens before the first that was sampled."""
        return tuple(self.token_ids[: self._first_sampled()])

    @property
    def response_ids(self) -> tuple[int, ...]:
        """The first sampled token and all that follow it."""
        return tuple(self.token_ids[self._first_sampled() :])

    @property
    def response_mask(self) -> tuple[bool, ...]:
        """Which of `response_ids` were sampled."""
        return tuple(self.sampled[self._first_sampled() :])

    @property
    def sampled_logprobs(self) -> tuple[float, ...]:
        """Log-probs of the sampled tokens, under the distribution they were sampled from."""
        pairs = zip(self.logprobs, self.sampled, strict=True)
        return tuple(logprob for logprob, sampled in pairs if sampled)

    @property
    def length(self) -> int:
        """How many tokens were sampled."""
        return sum(self.sampled)

    @property
    def truncated(self) -> bool:
        """Whether the model's last turn was cut off."""
        return bool(self.stops) and self.stops[-1] is Stop.LENGTH

    @property
    def passed(self) -> bool:
        """Whether the verdict is that of a valid task, or of a correct solution."""
        return self.verdict.status is Status.PASSED

    @property
    def failed(self) -> bool:
        """Whether it broke off before a verdict."""
        return self.verdict.status is Status.FAILED

    def _first_sampled(self) -> int:
        return self.sampled.index(True) if True in self.sampled else len(self.sampled)


@dataclass(slots=True)
class Family:
    """A proposal and the solutions that price it, or a known task and its solutions."""

    proposal: Episode | None
    solves: list[Episode] = field(default_factory=list)

    @property
    def episodes(self) -> list[Episode]:
        """The proposal, where there is one, and the solutions."""
        return [self.proposal, *self.solves] if self.proposal else list(self.solves)

    @property
    def task(self) -> Task | None:
        """What the solutions are of; None where the proposal posed none."""
        if self.proposal is None:
            return self.solves[0].task
        return self.proposal.verdict.task if self.proposal.passed else None

    @property
    def solve_rate(self) -> float:
        """Share of correct solutions among those that came to a verdict; 0 where none did."""
        judged = [solve.passed for solve in self.solves if not solve.failed]
        return fmean(judged) if judged else 0.0
