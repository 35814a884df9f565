"""What a run came to, in a sentence: what was learnt, or why nothing can have been."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Any

from azr_fast.observe.text import duration, percent

Metrics = Mapping[str, Any]

WINDOW = 5  # steps whose answers stand for the start and the end of a run
LEAST_STEPS = 4  # fewer have no start and end to compare
SHOWS_AFTER = 15  # steps; by then the committed runs had moved (docs/results)
SURE = NormalDist().inv_cdf(0.995)  # two-sided 1%: some eight rates are looked at
MINUTE = 60


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of the answers of all groups whose name ends so. `good`: of those of one group."""

    name: str
    groups: str
    good: Callable[[Metrics], float]


PROPOSALS = (
    Rate("well-formed proposals", "/proposer", lambda group: 1.0 - group["malformed"]),
    Rate("valid proposals", "/proposer", lambda group: float(group["passed"])),
    Rate("valid and new proposals", "/proposer", lambda group: float(group["new"])),
)
SOLVER = "/solver"


def rates(lines: Sequence[Metrics]) -> list[Rate]:
    """What is compared. Solvers by task type: what one learns another may forget."""
    names = dict.fromkeys(name for line in lines for name in line["groups"])
    solvers = [name for name in names if name.endswith(SOLVER)]
    solved = [
        Rate(f"solved {name.removesuffix(SOLVER)}", name, lambda group: float(group["passed"]))
        for name in solvers
    ]
    return [*PROPOSALS, *solved]


@dataclass(frozen=True, slots=True)
class Move:
    """A rate at the start and at the end, and how many standard errors apart they are."""

    name: str
    first: float
    last: float
    errors: float


def verdict(lines: Sequence[Metrics]) -> str:
    """A sentence or two on the steps of a run, from its metrics."""
    if not lines:
        return (
            "verdict: nothing was learnt: no step was finished. Give the run more time "
            "(--time-limit MINUTES), or a smaller step (--play.proposals, --play.solves)."
        )
    learning = [line for line in lines if not line.get("fruitless")]
    if not learning:
        return f"verdict: nothing was learnt in {_steps(lines)}: {lines[-1]['fruitless']}."
    if len(lines) < LEAST_STEPS:
        return f"verdict: too short to learn: {_steps(lines)}. {_more_time(lines)}"
    return _compared(lines)


def _compared(lines: Sequence[Metrics]) -> str:
    count = min(WINDOW, len(lines) // 2)
    ends = f"from the first {count} to the last {count} of {_steps(lines)}"
    moves = [move for rate in rates(lines) if (move := _move(rate, lines, count))]
    told = [f"{m.name} {percent(m.first)} to {percent(m.last)}" for m in moves if _is_sure(m)]
    if not told:
        return f"verdict: nothing that chance does not explain, {ends}. {_more_time(lines)}"
    rose = any(move.last > move.first for move in moves if _is_sure(move))
    word = "learnt" if rose else "unlearnt"
    return f"verdict: {word}, {ends}: {', '.join(told)}. Benchmarks tell what that is worth."


def _move(rate: Rate, lines: Sequence[Metrics], count: int) -> Move | None:
    """None where there are no such answers at an end."""
    (first, n), (last, m) = _share(rate, lines[:count]), _share(rate, lines[-count:])
    if not n or not m:
        return None
    both = (first * n + last * m) / (n + m)
    spread = math.sqrt(both * (1 - both) * (1 / n + 1 / m))
    return Move(rate.name, first, last, abs(last - first) / spread if spread else 0.0)


def _is_sure(move: Move) -> bool:
    """The pooled test of two proportions."""
    return move.errors >= SURE


def _share(rate: Rate, lines: Sequence[Metrics]) -> tuple[float, int]:
    """The share, and of how many answers."""
    groups = [
        group
        for line in lines
        for name, group in line["groups"].items()
        if name.endswith(rate.groups)
    ]
    answers = sum(group["answers"] for group in groups)
    good = sum(group["answers"] * rate.good(group) for group in groups)
    return (good / answers if answers else 0.0), answers


def _more_time(lines: Sequence[Metrics]) -> str:
    """How long learning takes to show, at the pace of these steps."""
    parts = ("play", "update", "sync")
    step = fmean(sum(line["seconds"].get(part, 0.0) for part in parts) for line in lines)
    minutes = max(1, math.ceil(step * SHOWS_AFTER / MINUTE))
    return (
        f"A step took {duration(step)} here, and learning shows after {SHOWS_AFTER} steps or more: "
        f"go on with --time-limit {minutes}."
    )


def _steps(lines: Sequence[Metrics]) -> str:
    return "1 step" if len(lines) == 1 else f"{len(lines)} steps"
