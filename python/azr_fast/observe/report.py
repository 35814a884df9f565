"""What a run has come to: printed when it ends, and by `azr-fast report RUN`."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from azr_fast.observe.rates import RATES, ends, mean_known, window
from azr_fast.observe.run import Run, at, read_run
from azr_fast.observe.text import cut, percent, signed, sparkline
from azr_fast.observe.typed import typed

Metrics = Mapping[str, Any]

PHASES = ("play", "update", "sync")
SAMPLE_LINES = 14  # of a task or an answer shown


def print_summary(folder: Path, console: Console) -> None:
    """Print everything people want to know of a run. UserError when `folder` is no run folder."""
    run = read_run(folder)
    say = Writer(console)
    _head(say, run)
    if run.lines:
        _examples(say, run)
        say.table(_rate_table(run.lines))
        say.table(_reward_table(run.lines))
        _refusals(say, run.lines)
        _speed(say, run.lines)
    _next(say, run)


class Writer:
    """Text exactly as it is: no markup, no colours of its own, no wrapping of paths."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.width = console.width

    def __call__(self, text: str = "") -> None:
        """Print a line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def prose(self, text: str) -> None:
        """Print lines broken between words."""
        self._console.print(text, markup=False, highlight=False)

    def table(self, table: Table) -> None:
        """Print a table."""
        self._console.print(table)


def _head(say: Writer, run: Run) -> None:
    goes_on = ", going on now" if run.living else ""
    made = f"{len(run.lines)} of {run.steps} steps made"
    say(f"\nrun {run.folder}: {run.model}, {made}{goes_on}")
    if not run.lines:
        say("no step is finished yet")


def _examples(say: Writer, run: Run) -> None:
    """The newest good proposal of each type, a solved task and a failed attempt."""
    newest: dict[tuple[str, str], Metrics] = {}
    for sample in run.newest_samples():
        if sample["role"] == "proposer" and sample["status"] == "passed" and sample["new"]:
            newest.setdefault(("proposed", sample["kind"]), sample)
        elif sample["role"] == "solver" and sample["status"] in ("passed", "wrong"):
            newest.setdefault(("solved", sample["status"]), sample)
    for (verb, _), sample in sorted(newest.items()):
        reward = f"reward {signed(sample['reward'])}"
        if verb == "proposed":
            rate = percent(sample["accuracy"])
            say(f"\nproposed ({sample['kind']}; {rate} of tries solved it; {reward}):")
            _show_task(say, sample["task"])
            continue
        title = "solved" if sample["status"] == "passed" else "not solved"
        say(f"\n{title} ({sample['kind']}; {reward}):")
        _show_task(say, sample["task"])
        say("  answer:")
        _show_text(say, sample["text"])


def _show_task(say: Writer, payload: Mapping[str, Any]) -> None:
    """The fields of a task, whatever the game; hashes are for machines."""
    for name, value in payload.items():
        if name.endswith("_key"):
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        if "\n" in text:
            say(f"  {name}:")
            _show_text(say, text)
        else:
            say(cut(f"  {name}: {text}", say.width))


def _show_text(say: Writer, text: str) -> None:
    lines = text.strip("\n").splitlines()
    for line in lines[:SAMPLE_LINES]:
        say(cut(f"    {line}", say.width))
    if len(lines) > SAMPLE_LINES:
        say(f"    … {len(lines) - SAMPLE_LINES} lines more")


def _rate_table(lines: Sequence[Metrics]) -> Table:
    count = window(lines)
    table = _table("rates", f"first {count}", f"last {count}", "over time")
    for figure in RATES:
        values = [figure.of(line) for line in lines]
        first, last = ends(values)
        table.add_row(figure.name, percent(first), percent(last), sparkline(values, width=32))
    return table


def _reward_table(lines: Sequence[Metrics]) -> Table:
    """Means of the first and the last steps, per task-role group."""
    heads = [f"{name}\n{end}" for name in ("reward", "passed", "new") for end in ("first", "last")]
    table = _table("task-role group", *heads)
    groups = dict.fromkeys(name for line in lines for name in line["groups"])
    for name in groups:
        cells: list[str] = []
        for key, write in (("reward", signed), ("passed", percent), ("new", percent)):
            pair = ends([at(line, "groups", name, key) for line in lines])
            cells += ["" if end is None else write(end) for end in pair]
        table.add_row(name, *cells)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, no_wrap=True, justify="left" if name == "over time" else "right")
    return table


def _refusals(say: Writer, lines: Sequence[Metrics]) -> None:
    """Why proposals fell through in the last steps, most frequent first."""
    codes: Counter[str] = Counter()
    for line in lines[-window(lines) :]:
        for name, group in line["groups"].items():
            if name.endswith("/proposer"):
                codes.update(group["codes"])
    answers = max(1, codes.total())
    told = [f"{code} {percent(count / answers)}" for code, count in codes.most_common(7)]
    say.prose(f"verdicts on the last proposals: {', '.join(told)}")


def _speed(say: Writer, lines: Sequence[Metrics]) -> None:
    def mean(*keys: str) -> float:
        return mean_known([at(line, *keys) for line in lines]) or 0.0

    seconds = {name: mean("seconds", name) for name in PHASES}
    step, blocked = sum(seconds.values()), mean("seconds", "verify_blocked")
    parts = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    speed = mean("tokens_per_s")
    say.prose(f"a step took {step:.1f} s: {parts}; {speed:.0f} tokens/s were sampled")
    say.prose(
        f"verification runs beside the sampling; waiting for verdicts with nothing left to sample "
        f"took {blocked:.2f} s of a step, {percent(blocked / step if step else None)} of it"
    )
    say.prose(
        f"of the tokens of well-formed answers {percent(mean('tokens', 'trained'))} were trained "
        f"on; of all tokens trained on {percent(mean('tokens', 'with_gradient'))} had a gradient"
    )


def _next(say: Writer, run: Run) -> None:
    """What to type next; a run that goes on is watched, not resumed."""
    done = len(run.lines)
    longer = f"--run.steps {2 * done}" if done >= run.steps else "--time-limit 60"
    say(f"\nrun folder: {run.folder}")
    say("what to type next:")
    folder = shlex.quote(str(run.folder))
    if done and not run.living:
        say(f"  {typed()} report {folder} --plot curves.png")
    if run.living:
        say(f"  {typed()} report {folder} --serve")
    else:
        say(f"  {typed()} train --resume {folder} {longer}")
