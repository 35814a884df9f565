"""What the page draws of votes and tools: how many agree, how often that is right, what is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from azr_fast.observe.charts import Chart, Series, Steps, Values
from azr_fast.observe.rates import mean_known
from azr_fast.observe.run import at

Metrics = Mapping[str, Any]

SECTION = "Votes and tools"


def vote_charts(lines: Sequence[Metrics]) -> list[Chart]:
    """Charts of the `verification` of a game whose answers are voted on; none of another's."""
    steps = Steps(lines)
    charts = [*_agreement(lines), *_truth(steps), *_likeness(steps), *_tool(steps)]
    for chart in charts:
        chart.series = [one for one in chart.series if any(y is not None for y in one.y)]
    return [chart for chart in charts if chart.series]


def _agreement(lines: Sequence[Metrics]) -> Iterator[Chart]:
    """Questions by p, of the steps that posed some."""
    posed = [line for line in lines if sum(_counts(line))]
    if not posed:
        return
    half = (len(posed) + 1) // 2
    halves = {"first half of the run": posed[:half], "second half": posed[half:]}
    bins = len(_counts(posed[0]))
    yield Chart(
        SECTION,
        "Agreement on a question (p)",
        "Share of the valid questions by p, the share of a question's conversations that gave its "
        "most frequent answer. What nearly all agree on, or hardly any, teaches nothing.",
        [f"{100 * i // bins} to {100 * (i + 1) // bins}%" for i in range(bins)],
        [Series(name, _shares(some), i) for i, (name, some) in enumerate(halves.items()) if some],
        kind="bars",
        unit="share",
        x_title="p",
    )


def _counts(line: Metrics) -> list[int]:
    """Questions of a step by p; empty where the game has no votes."""
    counts = (line.get("verification") or {}).get("agreement")
    return counts if isinstance(counts, list) else []


def _shares(lines: Sequence[Metrics]) -> Values:
    columns = [sum(column) for column in zip(*map(_counts, lines), strict=True)]
    return [count / sum(columns) for count in columns]


def _named(steps: Steps, **keys: str) -> list[Series]:
    """A curve of the verification for each name; _ stands for a space."""
    pairs = {name.replace("_", " "): ("verification", key) for name, key in keys.items()}
    return steps.named(*pairs.items())


def _truth(steps: Steps) -> Iterator[Chart]:
    yield Chart(
        SECTION,
        "Is the majority right?",
        "Of questions with a program that computes the answer: how often the vote, and the label "
        "that executors learn from, is what the program gives; and how often the vote is the "
        "setter's own answer.",
        steps.x,
        _named(
            steps,
            votes_that_are_right="vote_accuracy",
            labels_that_are_right="label_accuracy",
            votes_for_the_setter="setter_agrees",
        ),
        unit="share",
    )


def _likeness(steps: Steps) -> Iterator[Chart]:
    yield Chart(
        SECTION,
        "Questions that are not new",
        "Share of valid questions that were posed before, and the mean share of a step's "
        "questions that are like a question of it.",
        steps.x,
        _named(steps, posed_before="duplicates", alike="alike"),
        unit="share",
    )


def _tool(steps: Steps) -> Iterator[Chart]:
    speeds = [_speed(line) for line in steps.lines]
    yield Chart(
        SECTION,
        "Calls of the tool",
        "Programs that run in a conversation, in the mean.",
        steps.x,
        _named(steps, calls="calls"),
    )
    yield Chart(
        SECTION,
        "What becomes of conversations",
        "Shares: conversations with a call, calls whose program failed, conversations that gave an "
        "answer, and the same of those with a failed call.",
        steps.x,
        _named(
            steps,
            used_the_tool="used_tool",
            calls_that_failed="call_errors",
            answered="answered",
            answered_after_a_failed_call="answered_with_errors",
        ),
        unit="share",
    )
    yield Chart(
        SECTION,
        "Calls per second",
        "Programs that the sandbox ran per second of play.",
        steps.x,
        [Series("calls/s", [mean_known(speeds[start:end]) for start, end in steps.spans])],
    )


def _speed(line: Metrics) -> float | None:
    runs, seconds = at(line, "verification", "tool_runs"), at(line, "seconds", "play")
    return runs / seconds if runs and seconds else None
