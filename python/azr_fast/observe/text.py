"""How numbers of a run are written, in tables and in plain lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

Metrics = Mapping[str, Any]

_BARS = "▁▂▃▄▅▆▇█"


def percent(share: float | None) -> str:
    """`0.425` as `42%`; a rate of nothing as a dash."""
    return "-" if share is None else f"{share:.0%}"


def signed(value: float | None) -> str:
    """A reward, sign always shown."""
    return "-" if value is None else f"{value:+.2f}"


def duration(seconds: float) -> str:
    """Minutes and seconds, hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def sparkline(values: Sequence[float | None], width: int = 40) -> str:
    """The course of a share (0 to 1) as one bar per step, means where steps outnumber `width`."""
    count = min(width, len(values))
    edges = [i * len(values) // count for i in range(count + 1)] if count else []
    means = (_mean(values[a:b]) for a, b in pairwise(edges))
    return "".join(" " if m is None else _BARS[min(int(m * 8), 7)] for m in means)


def step_line(metrics: Metrics, steps: int) -> str:
    """The rates of a step on one line of at most 80 columns; why it taught nothing, if so."""
    proposals, solver = metrics["proposals"], metrics["solver"]
    fruitless = f"; taught nothing: {metrics['fruitless']}" if metrics.get("fruitless") else ""
    return (
        f"step {metrics['step']}/{steps}: valid {percent(proposals['valid'])}, "
        f"new {percent(proposals['new'])}, learnable {percent(proposals.get('learnable'))}; "
        f"solved {percent(solver['solve_rate'])}, reward {signed(solver['reward'])}{fruitless}"
    )


def reward_text(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """The mean reward of every task-role group of a step, on one line."""
    return ", ".join(f"{name} {signed(group['reward'])}" for name, group in groups.items())


_COLUMNS: Mapping[str, Callable[[Metrics], str]] = {
    "answers": lambda group: str(group["answers"]),
    "reward": lambda group: signed(group["reward"]),
    "malformed": lambda group: percent(group["malformed"]),
    "rejected": lambda group: percent(group["rejected"]),
    "wrong": lambda group: percent(group["wrong"]),
    "passed": lambda group: percent(group["passed"]),
    "new": lambda group: percent(group["new"]) if "new" in group else "",
}
_NARROW = ("reward", "passed")


def group_table(groups: Mapping[str, Metrics], narrow: bool = False) -> Table:
    """One row per task-role group of a step; `narrow` fits 40 columns, else 80."""
    names = _NARROW if narrow else tuple(_COLUMNS)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("task-role group", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for group, values in groups.items():
        table.add_row(group, *(_COLUMNS[name](values) for name in names))
    return table


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def plain(text: str) -> str:
    """`text` on one line of a terminal: what would move its cursor, colour it or turn the order of
    letters is shown as an escape."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def cut(line: str, width: int) -> str:
    """A line as far as there is room, `plain`, tabs as spaces."""
    line = plain(line.expandtabs())
    return line if len(line) <= width else line[: width - 1] + "…"
