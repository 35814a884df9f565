"""How evaluations are shown: a bar on a terminal, a line now and then elsewhere, tables."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from azr_fast.evaluate.benchmark import Benchmark
from azr_fast.evaluate.statistics import Paired
from azr_fast.evaluate.summary import Score
from azr_fast.evaluate.validate import Check
from azr_fast.observe.text import duration, percent
from azr_fast.rollout.decoder import RolloutStats

NO_TEMPLATE = (
    "{} has no chat template: its prompts are plain text, in which most benchmarks score lower"
)
_LINE_SECONDS = 30.0
_NARROW = 70  # columns; a table has none fewer
_SHOWN = 5  # items that a validation names


class Display:
    """What is being done, and how far it has come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._speed, self._text = "", ""
        self._began = self._told = 0.0
        self._first: int | None = None  # how many were there to begin with

    def begin(self, text: str) -> None:
        """Something else is done from now on."""
        self.close()
        self._text, self._speed, self._first = text, "", None
        self._began = self._told = time.monotonic()
        if not self._console.is_terminal:
            self.note(text)
            return
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn())
        self._bar = Progress(
            *columns, TimeRemainingColumn(), TextColumn("{task.fields[speed]}"),
            console=self._console, transient=True,
        )  # fmt: skip
        self._bar.add_task(text, total=None, speed="")
        self._bar.start()

    def show(self, done: int, total: int) -> None:
        """So many of so many are done."""
        if self._first is None:
            self._first = done
        if self._bar:
            task = self._bar.tasks[0].id
            self._bar.update(task, completed=done, total=total, speed=self._speed)
        elif time.monotonic() - self._told > _LINE_SECONDS:
            self._told = time.monotonic()
            self.note(f"{time.strftime('%H:%M:%S')} {self._text}: {self._progress(done, total)}")

    def speed(self, stats: RolloutStats) -> None:
        """What the engine does."""
        self._speed = f"{stats.tokens / max(stats.elapsed(), 1e-9):.0f} tok/s"
        if self._bar:
            self._bar.update(self._bar.tasks[0].id, speed=self._speed)
        else:
            self.show_again()

    def show_again(self) -> None:
        """A sign of life while no answer ends."""
        if time.monotonic() - self._told > _LINE_SECONDS:
            self._told = time.monotonic()
            self.note(f"{time.strftime('%H:%M:%S')} {self._text}: {self._speed}")

    def note(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bar away. Idempotent."""
        if self._bar:
            self._bar.stop()
        self._bar = None

    def _progress(self, done: int, total: int) -> str:
        new = done - (self._first or 0)
        elapsed = time.monotonic() - self._began
        left = f", about {duration(elapsed * (total - done) / new)} left" if new else ""
        return f"{done} of {total}{f', {self._speed}' if self._speed else ''}{left}"


def print_scores(console: Console, model: str, scores: Sequence[Score]) -> None:
    """A row for each benchmark."""
    table = _table("benchmark", "items", "score", "95%", "unread", "cut", "late", "skip", "shows")
    for score in scores:
        for k, share in score.pass_at.items():
            first = k == min(score.pass_at)
            name = f"{score.benchmark} ({score.form})" if first else f"  pass@{k}"
            rest = _beside(score) if first else ()
            table.add_row(name, str(score.items) if first else "", f"{share:.1%}", *rest)
    _print(console, model)
    _print_table(console, table)
    _print(console, _MEANING)


_MEANING = (
    "unread, cut, late, skip: answers without a readable part, cut off at the token limit, over "
    "the time limit, and prompts that did not fit. shows: the smallest gain that two separate "
    "runs on so many items can show (95%, power 80%); --against shows smaller ones."
)


def _beside(score: Score) -> tuple[str, ...]:
    low, high = score.interval
    shares = (score.unparsed, score.truncated, score.timed_out, score.skipped)
    return (
        f"{100 * low:.1f}-{100 * high:.1f}",
        *map(percent, shares),
        _points(score.smallest),
    )


def print_comparison(console: Console, ours: str, theirs: str, pairs: Mapping[str, Paired]) -> None:
    """Paired differences, in points."""
    table = _table("benchmark", "items", "gain", "95%", "up", "down", "p", "shows")
    for name, pair in pairs.items():
        low, high = (100 * end for end in pair.interval)
        table.add_row(
            name,
            str(pair.items),
            f"{100 * pair.difference:+.1f}",
            f"{low:+.1f} to {high:+.1f}",
            str(pair.up),
            str(pair.down),
            f"{pair.p:.2g}",
            _points(pair.smallest),
        )
    _print(console, f"{ours} against {theirs}, item by item, in points")
    _print_table(console, table)
    _print(
        console,
        "up, down: items that it does better and worse on; p: exact sign test; shows: the smallest "
        "gain that these items can show (95%, power 80%).",
    )


def print_checks(
    console: Console, benchmark: Benchmark, items: int, checks: Sequence[Check]
) -> None:
    """What a judge said of right and wrong answers."""
    table = _table("answer", "tried", "passed", "verdict")
    for check in checks:
        verdict = "as it should" if check.ok else f"{len(check.wrong)} wrong"
        table.add_row(check.kind, str(check.tried), str(check.passed), verdict)
    _print(console, f"{benchmark.name} ({benchmark.form}), {items} items")
    _print_table(console, table)
    for check in checks:
        for told in check.wrong[:_SHOWN]:
            _print(console, f"{check.kind}: {told}")


def print_benchmarks(console: Console, benchmarks: Sequence[type[Benchmark]]) -> None:
    """Names, forms and where the records come from."""
    table = _table("benchmark", "forms", "hub", justify="left")
    for one in benchmarks:
        hub = one.hub.path if one.hub else "--data alone"
        table.add_row(one.name, ", ".join(one.forms), hub)
    _print_table(console, table)


def _table(*columns: str, justify: str = "right") -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        side = "left" if place == 0 else justify
        table.add_column(column, justify=side, overflow="fold")  # type: ignore[arg-type]
    return table


def _points(gain: float | None) -> str:
    return "none" if gain is None else f"{100 * gain:.1f}"


def _print_table(console: Console, table: Table) -> None:
    """The table, or, where it would not fit, a line of names and values for each of its rows."""
    if console.width >= _NARROW:
        console.print(table)
        return
    columns = [(str(column.header), list(column.cells)) for column in table.columns]
    for row in range(table.row_count):
        first, *rest = ((name, str(cells[row])) for name, cells in columns)
        beside = ", ".join(f"{name} {value}" for name, value in rest if value)
        _print(console, f"{first[1].strip()}: {beside}")


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)
