"""What a run has come to: printed when it ends, and by `azr-fast report RUN`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from azr_fast.config.load import load_config
from azr_fast.config.schema import Config
from azr_fast.observe.files import read_lines
from azr_fast.observe.runfolder import check_format
from azr_fast.observe.text import percent, signed, sparkline
from azr_fast.observe.typed import typed

Metrics = Mapping[str, Any]

PHASES = ("play", "update", "sync")
TOKEN_SHARES = ("trained", "with_gradient")
WINDOW = 5  # steps whose mean stands for the start and the end of a run
SAMPLE_LINES = 14  # of a task or an answer shown
RATES: Sequence[tuple[str, Callable[[Metrics], float | None]]] = (
    ("well-formed proposals", lambda line: line["proposals"]["well_formed"]),
    ("valid proposals", lambda line: line["proposals"]["valid"]),
    ("valid and new proposals", lambda line: line["proposals"]["new"]),
    ("solved tasks", lambda line: line["solver"]["solve_rate"]),
)


def print_summary(folder: Path, console: Console) -> None:
    """Print everything people want to know of a run. UserError when `folder` is no run folder."""
    check_format(folder)
    lines = list(read_lines(folder / "metrics.jsonl"))
    config = load_config(folder / "config.toml")
    say = Writer(console)
    _head(say, folder, config, lines)
    if lines:
        _examples(say, folder)
        say.table(_rate_table(lines))
        say.table(_reward_table(lines))
        _refusals(say, lines)
        _speed(say, lines)
    _next(say, folder, config, len(lines))


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


def _head(say: Writer, folder: Path, config: Config, lines: Sequence[Metrics]) -> None:
    say(f"\nrun {folder}: {config.model.name}, {len(lines)} of {config.run.steps} steps made")
    if not lines:
        say("no step is finished yet")


def _examples(say: Writer, folder: Path) -> None:
    """The newest good proposal of each type, a solved task and a failed attempt."""
    newest: dict[tuple[str, str], Metrics] = {}
    for sample in _newest_samples(folder):
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


def _newest_samples(folder: Path) -> Iterator[Metrics]:
    for path in sorted((folder / "samples").glob("step-*.jsonl"), reverse=True):
        yield from read_lines(path)


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
            say(_cut(f"  {name}: {text}", say.width))


def _show_text(say: Writer, text: str) -> None:
    lines = text.strip("\n").splitlines()
    for line in lines[:SAMPLE_LINES]:
        say(_cut(f"    {line}", say.width))
    if len(lines) > SAMPLE_LINES:
        say(f"    … {len(lines) - SAMPLE_LINES} lines more")


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"


def _rate_table(lines: Sequence[Metrics]) -> Table:
    table = _table("rates", f"first {_window(lines)}", f"last {_window(lines)}", "over time")
    for name, rate in RATES:
        values = [rate(line) for line in lines]
        first, last = _ends(values)
        table.add_row(name, percent(first), percent(last), sparkline(values, width=32))
    return table


def _reward_table(lines: Sequence[Metrics]) -> Table:
    """Means of the first and the last steps, per task-role group."""
    heads = [f"{name}\n{end}" for name in ("reward", "passed", "new") for end in ("first", "last")]
    table = _table("task-role group", *heads)
    groups = dict.fromkeys(name for line in lines for name in line["groups"])
    for name in groups:
        cells: list[str] = []
        for key, write in (("reward", signed), ("passed", percent), ("new", percent)):
            ends = _ends([line["groups"].get(name, {}).get(key) for line in lines])
            cells += ["" if end is None else write(end) for end in ends]
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
    for line in lines[-_window(lines) :]:
        for name, group in line["groups"].items():
            if name.endswith("/proposer"):
                codes.update(group["codes"])
    answers = max(1, codes.total())
    told = [f"{code} {percent(count / answers)}" for code, count in codes.most_common(7)]
    say.prose(f"verdicts on the last proposals: {', '.join(told)}")


def _speed(say: Writer, lines: Sequence[Metrics]) -> None:
    seconds = {name: fmean([line["seconds"][name] for line in lines]) for name in PHASES}
    step = sum(seconds.values())
    parts = [f"{name} {value:.1f}" for name, value in seconds.items()]
    speed = fmean([line["tokens_per_s"] for line in lines])
    blocked = fmean([line["seconds"]["verify_blocked"] for line in lines])
    trained, steering = (fmean([line["tokens"][k] for line in lines]) for k in TOKEN_SHARES)
    say.prose(f"a step took {step:.1f} s: {', '.join(parts)}; {speed:.0f} tokens/s were sampled")
    say.prose(
        f"verification runs beside the sampling; waiting for verdicts with nothing left to sample "
        f"took {blocked:.2f} s of a step, {percent(blocked / step)} of it"
    )
    say.prose(
        f"of the tokens of well-formed answers {percent(trained)} were trained on; of all tokens "
        f"trained on {percent(steering)} had a gradient"
    )


def _next(say: Writer, folder: Path, config: Config, done: int) -> None:
    over = done >= config.run.steps
    longer = f"--run.steps {2 * done}" if over else "--time-limit 60"
    say(f"\nrun folder: {folder}")
    say("what to type next:")
    if done:
        say(f"  {typed()} report {folder} --plot curves.png")
    say(f"  {typed()} train --resume {folder} {longer}")


def _window(lines: Sequence[Metrics]) -> int:
    return max(1, min(WINDOW, len(lines) // 2))


def _ends(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Means of the first and the last few."""
    count = max(1, min(WINDOW, len(values) // 2))
    return _mean_known(values[:count]), _mean_known(values[-count:])


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
