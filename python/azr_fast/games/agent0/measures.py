"""What a step's votes and calls came to, as numbers for the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from azr_fast.games.agent0.tool import Tool
from azr_fast.mathematics import Equality
from azr_fast.types import Episode, Family

BINS = 10  # of p from 0 to 1


def calls(solve: Episode) -> int:
    """Programs that ran in a conversation."""
    return int(solve.verdict.facts.get("calls", 0))


@dataclass(slots=True)
class Measures:
    """Counts the families of the newest step.

    questions: valid ones · agreement: questions by p, in BINS from 0 to 1 · nobody_answered:
    questions without a vote · vote_accuracy: share of votes equal to what the question's program
    computes, of `vote_checked` · label_accuracy: the same of the labels that executors learn from ·
    setter_agrees: share of votes equal to the curriculum agent's own answer · duplicates: share of
    valid proposals that were posed before · alike: mean share of the step like a question ·
    calls: programs run in a conversation, in the mean · call_errors: share of them that failed ·
    used_tool: share of conversations with a call · answered, answered_with_errors: share of
    conversations that gave an answer, of all and of those with a failed call · tool_seconds: from
    asking the sandbox to its reply, summed · comparisons_ended: answers that could not be compared
    in time.
    """

    tool: Tool
    equality: Equality
    _families: list[Family] = field(default_factory=list)
    _before: dict[str, float] = field(default_factory=dict)

    def take(self, families: Sequence[Family]) -> None:
        """The families of a step, in place of one that was not whole and is played again."""
        self._families = list(families)

    def since_last(self) -> Mapping[str, Any]:
        """The numbers since the last call; null where there is nothing to count."""
        families, self._families = self._families, list[Family]()
        solves = [one for family in families for one in family.solves if not one.failed]
        return self._votes(families) | _conversations(solves) | self._tool()

    def _votes(self, families: Sequence[Family]) -> dict[str, Any]:
        asked = [one for one in families if one.proposal and one.task]
        facts = [(family.task, family.proposal.facts) for family in asked if family.proposal]
        voted = [(task, fact["vote"]) for task, fact in facts if task and fact["vote"] is not None]
        checked = self._right((task.payload["truth"], answer) for task, answer in voted)
        taught = [one.task for one in families if not one.proposal and one.task]
        labelled = self._right((task.payload["truth"], task.payload["answer"]) for task in taught)
        return {
            "questions": len(asked),
            "agreement": histogram([fact["agreement"] for _, fact in facts]),
            "nobody_answered": len(asked) - len(voted),
            "vote_accuracy": mean(checked),
            "vote_checked": len(checked),
            "label_accuracy": mean(labelled),
            "setter_agrees": mean(
                self._right((task.payload["setter"], answer) for task, answer in voted)
            ),
            "duplicates": mean([not fact["new"] for _, fact in facts]),
            "alike": mean([fact["repetition"] for _, fact in facts]),
        }

    def _right(self, pairs: Iterable[tuple[Any, Any]]) -> list[bool]:
        """Whether the answers are right, of those whose truth is known."""
        return [self.equality.equal(str(a), str(b)) for a, b in pairs if a is not None]

    def _tool(self) -> dict[str, Any]:
        now = {
            "tool_runs": self.tool.calls,
            "tool_seconds": self.tool.seconds,
            "comparisons_ended": self.equality.ended,
        }
        grown = {name: value - self._before.get(name, 0) for name, value in now.items()}
        self._before = dict(now)
        return grown


def histogram(shares: Sequence[float]) -> list[int]:
    """How many lie in each of BINS equal parts of [0, 1]; a bound belongs to the part above it."""
    places = [min(int(share * BINS + 1e-9), BINS - 1) for share in shares]
    return [places.count(place) for place in range(BINS)]


def mean(values: Sequence[float]) -> float | None:
    """Their mean; None of none."""
    return fmean(values) if values else None


def _conversations(solves: Sequence[Episode]) -> dict[str, Any]:
    runs = [calls(one) for one in solves]
    errors = [int(one.verdict.facts.get("call_errors", 0)) for one in solves]
    answered = [one.verdict.answer is not None for one in solves]
    return {
        "calls": mean(runs),
        "call_errors": sum(errors) / sum(runs) if sum(runs) else None,
        "used_tool": mean([bool(one) for one in runs]),
        "answered": mean(answered),
        "answered_with_errors": mean(
            [said for said, bad in zip(answered, errors, strict=True) if bad]
        ),
    }
