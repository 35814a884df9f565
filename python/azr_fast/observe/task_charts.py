"""What the page draws of a run's tasks: how often solved, how long, how complex."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from azr_fast.observe.charts import Chart, Series, Values
from azr_fast.observe.rates import mean_known

Record = Mapping[str, Any]

POINTS = 100  # most points of a curve over steps
PARTS = (  # of the histogram of solve rates; tasks at either end teach nothing
    ("never", lambda rate: rate == 0.0),
    ("under 25%", lambda rate: 0.0 < rate < 0.25),
    ("25 to 50%", lambda rate: 0.25 <= rate < 0.5),
    ("50 to 75%", lambda rate: 0.5 <= rate < 0.75),
    ("75% and more", lambda rate: 0.75 <= rate < 1.0),
    ("always", lambda rate: rate == 1.0),
)


def task_charts(records: Sequence[Record]) -> list[Chart]:
    """Charts of the tasks of a run that have something to show."""
    made = [record for record in records if record["step"] > 0]  # not the seeds
    charts = [*_solve_rates(made), *_programs(made)]
    return [chart for chart in charts if any(y is not None for s in chart.series for y in s.y)]


def _solve_rates(records: Sequence[Record]) -> Iterator[Chart]:
    priced = [record for record in records if record["accuracy"] is not None]
    if not priced:
        return
    middle = (priced[0]["step"] + priced[-1]["step"]) / 2
    halves = {
        "first half of the run": [r["accuracy"] for r in priced if r["step"] <= middle],
        "second half": [r["accuracy"] for r in priced if r["step"] > middle],
    }
    yield Chart(
        "Tasks",
        "How often new tasks are solved",
        "Share of the tasks that were priced, by the share of tries that solved them. Only what "
        "lies between never and always is worth learning from.",
        [name for name, _ in PARTS],
        [
            Series(name, _shares(rates), i)
            for i, (name, rates) in enumerate(halves.items())
            if rates
        ],
        kind="bars",
        unit="share",
        x_title="share of tries that solved the task",
    )


def _shares(rates: Sequence[float]) -> Values:
    return [sum(map(inside, rates)) / len(rates) for _, inside in PARTS]


def _programs(records: Sequence[Record]) -> Iterator[Chart]:
    """Over steps, of the tasks that hold a program."""
    with_program = [
        record for record in records if isinstance(record["payload"].get("program"), str)
    ]
    kinds = list(dict.fromkeys(record["kind"] for record in with_program))
    for title, help_, measure in (
        ("Length of programs", "Lines that are not empty, mean of the new tasks of a step.", lines),
        (
            "Complexity of programs",
            "Nodes of the syntax tree, mean of the new tasks of a step: names and spacing do not "
            "count.",
            nodes,
        ),
    ):
        steps, series = _over_steps(with_program, kinds, measure)
        yield Chart("Tasks", title, help_, steps, series)


def _over_steps(
    records: Sequence[Record], kinds: Sequence[str], measure: Callable[[str], int | None]
) -> tuple[list[float], list[Series]]:
    """Means by span of steps, a series per task type."""
    if not records:
        return [], []
    last = max(record["step"] for record in records)
    width = -(-last // POINTS)
    spans = range(1, last + 1, width)
    found: dict[tuple[str, int], list[float | None]] = {}
    for record in records:
        place = (record["kind"], (record["step"] - 1) // width)
        found.setdefault(place, []).append(measure(record["payload"]["program"]))
    series = [
        Series(kind, [mean_known(found.get((kind, i), [])) for i in range(len(spans))], colour)
        for colour, kind in enumerate(kinds)
    ]
    return [float(start) for start in spans], series


def lines(program: str) -> int:
    """Lines that are not blank."""
    return sum(1 for line in program.splitlines() if line.strip())


def nodes(program: str) -> int | None:
    """Nodes of the syntax tree; None for what this Python cannot parse or finds too deep."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # such as an escape that is none
            return sum(1 for _ in ast.walk(ast.parse(program)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
