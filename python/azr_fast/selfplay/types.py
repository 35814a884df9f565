"""The nouns of self-play. No task type is known here: `kind` and `payload` are the game's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]


class Role(StrEnum):
    """Who writes an answer: the one that poses tasks or the one that solves them."""

    PROPOSER = "proposer"
    SOLVER = "solver"


class Status(StrEnum):
    """How far an answer got, worst first."""

    MALFORMED = "malformed"  # the answer could not be parsed
    REJECTED = "rejected"  # a proposal that parsed and failed a check of the gate
    WRONG = "wrong"  # a solution that parsed and is not correct
    PASSED = "passed"  # a valid task, or a correct solution


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str  # "system" | "user" | "assistant"
    content: str


@dataclass(frozen=True, slots=True)
class Task:
    """A posed problem. Equal `key` means the same problem, whatever its spelling."""

    kind: str  # the task type, named by the game
    key: str  # canonical hash; the buffer deduplicates on it
    payload: Mapping[str, JSON]  # everything needed to show the task and to grade an answer
    parents: tuple[str, ...] = ()  # keys of the tasks it was made from; for the study of a run


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one request shows the model, and what the game needs to judge the answer."""

    kind: str
    role: Role
    messages: tuple[Message, ...]
    prefill: str = ""  # text the answer starts with; counted as prompt, seen by the parser
    task: Task | None = None  # solver: the task to solve
    references: tuple[Task, ...] = ()  # proposer: the tasks shown or built on


@dataclass(frozen=True, slots=True)
class Answer:
    """One finished generation. `request` orders answers: (3, 0) solves what (3,) proposed."""

    request: tuple[int, ...]
    prompt: Prompt
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]  # the sampled tokens, end-of-turn included when it was sampled
    logprobs: tuple[float, ...]  # of token_ids, under the distribution they were sampled from
    text: str  # prefill + decoded tokens, special tokens removed
    truncated: bool  # stopped by the token limit


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one answer."""

    status: Status
    code: str  # stable reason, e.g. "ok", "no_answer", "nondeterministic"
    evidence: str = ""  # for people: what was seen
    task: Task | None = None  # the task posed, when a proposal passed


@dataclass(slots=True)
class Judged:
    """An answer with its verdict; what rewards, advantages and the update add to it."""

    answer: Answer
    judgement: Judgement
    stats: dict[str, Any] = field(
        default_factory=dict
    )  # "accuracy", "new": set when tasks are priced
    reward: float = 0.0
    advantage: float = 0.0

    @property
    def group(self) -> tuple[str, Role]:
        """The task-role group of TRR++ (paper, section 3.3.3)."""
        return self.answer.prompt.kind, self.answer.prompt.role
