"""`azr-fast compare RUN RUN`: what two runs have come to, side by side."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from azr_fast.cli.report import at_least
from azr_fast.observe.compare import Row, common_steps, config_differences, rows
from azr_fast.observe.report import Writer
from azr_fast.observe.run import Run, read_run
from azr_fast.observe.text import percent, plain

DESCRIPTION = """\
Show the figures of two runs side by side, each the mean of the last few steps, their differences,
and the keys in which the configs differ. One run of each kind proves little: differences of two
seeds of one config are the measure of chance."""
EPILOG = """\
examples:
  azr-fast compare runs/one runs/other                 # up to the last step that both have made
  azr-fast compare runs/one runs/other --steps 20      # up to step 20
  azr-fast compare runs/one runs/other --all           # each up to its own last step"""


def add_options(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """The two runs, and up to which step."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("first", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("second", metavar="RUN", type=Path, help="run folder to compare with it")
    span = parser.add_mutually_exclusive_group()
    span.add_argument("--steps", metavar="N", type=at_least(1), help="up to this step")
    span.add_argument("--all", action="store_true", help="each up to its own last step")
    parser.set_defaults(run=compare)


def compare(space: argparse.Namespace) -> int:
    """Print both tables."""
    first, second = (read_run(path.expanduser()) for path in (space.first, space.second))
    say = Writer(Console())
    steps = None if space.all else min(common_steps(first, second), space.steps or 10**9)
    for name, run in (("A", first), ("B", second)):
        say(f"{name}: {run.folder}: {run.model}, {len(run.lines)} steps")
    if found := rows(first, second, steps):
        say(f"means of the last steps{'' if steps is None else f' up to step {steps}'}:\n")
        say.table(_figures(found))
    else:
        say("there is no step that both have made: --all takes each up to its own last step\n")
    _configs(say, first, second)
    return 0


def _figures(found: Sequence[Row]) -> Table:
    table = _table("", "A", "B", "B - A")
    for row in found:
        write = row.figure.write
        table.add_row(Text(row.figure.name), write(row.first), write(row.second), _change(row))
    return table


def _change(row: Row) -> str:
    """The difference as the figure is written, its sign always shown."""
    change = row.difference
    if change is None:
        return "-"
    if row.figure.write is percent:
        return f"{100 * change:+.1f} points"
    return f"{change:+.3g}"


def _configs(say: Writer, first: Run, second: Run) -> None:
    differences = config_differences(first, second)
    if not differences:
        say("the configs are the same")
        return
    table = _table("config", "A", "B")
    for key, one, other in differences:
        table.add_row(Text(plain(key)), Text(plain(one)), Text(plain(other)))
    say.table(table)


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table
