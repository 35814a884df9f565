"""`azr-fast tasks RUN`: the tasks that a run has posed, listed, chosen and given to others."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from azr_fast.cli.report import at_least
from azr_fast.errors import UserError
from azr_fast.observe.export import export_tasks
from azr_fast.observe.report import Writer
from azr_fast.observe.runfolder import check_format
from azr_fast.observe.tasks import Wanted, read_tasks
from azr_fast.observe.text import cut, percent, plain

Record = Mapping[str, Any]

LIMIT = 20  # tasks listed unless more are asked for
DESCRIPTION = """\
List the tasks that a run, going on or over, has posed: the newest first, with their solve rates.
--output gives them to others, each with its manifest: where it came from, what it passed, how often
it was solved."""
EPILOG = """\
examples:
  azr-fast tasks runs/hour                                    # the newest tasks
  azr-fast tasks runs/hour --kind abduction --learnable       # solved sometimes and not always
  azr-fast tasks runs/hour --first-step 10 --max-rate 0.25 --limit 100
  azr-fast tasks runs/hour --show 17                          # one task with its whole manifest
  azr-fast tasks runs/hour --learnable --output tasks.jsonl   # lines of JSON
  azr-fast tasks runs/hour --output tasks.parquet             # Parquet
  azr-fast tasks runs/hour --output tasks                     # for datasets.load_from_disk"""


def add_options(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """The run, which of its tasks, and where to."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", metavar="RUN", type=Path, help="run folder")
    add = parser.add_argument
    step, rate = at_least(0), share
    add("--kind", metavar="TYPE", help="task types, with commas between them")
    add("--first-step", metavar="N", type=step, help="posed in this step or later; 0: the seeds")
    add("--last-step", metavar="N", type=step, help="posed in this step or before")
    add("--min-rate", metavar="SHARE", type=rate, help="solved by at least this share of tries")
    add("--max-rate", metavar="SHARE", type=rate, help="solved by at most this share of tries")
    add("--learnable", action="store_true", help="solved sometimes and not always")
    add("--contains", metavar="TEXT", default="", help="this text is in some field of the task")
    add(
        "--limit",
        metavar="N",
        type=at_least(1),
        help=f"most tasks, the newest (default: {LIMIT} in a list, all in a file)",
    )
    add("--show", metavar="ID", type=at_least(1), help="one task, with its whole manifest")
    add(
        "--output",
        metavar="PLACE",
        type=Path,
        help="FILE.jsonl, FILE.parquet, or a folder for the library datasets",
    )
    parser.set_defaults(run=tasks)


def share(text: str) -> float:
    """A share as it is typed, 0 to 1. Raises argparse's error for another number."""
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to 1")
    return value


def tasks(space: argparse.Namespace) -> int:
    """List, show or write the tasks that are asked for."""
    folder = space.folder.expanduser()
    check_format(folder)
    records = read_tasks(folder / "tasks.db")
    say = Writer(Console())
    if space.show:
        _show(say, folder, records, space.show)
        return 0
    found = list(_wanted(space, records).choose(records))
    if space.output:
        chosen = found[-space.limit :] if space.limit else found
        export_tasks(chosen, space.output.expanduser())
        say(f"{len(chosen)} of {len(records)} tasks: {space.output}")
        return 0
    _list(say, found[::-1][: space.limit or LIMIT], len(found), len(records))
    return 0


def _wanted(space: argparse.Namespace, records: Sequence[Record]) -> Wanted:
    kinds = tuple(filter(None, (space.kind or "").split(",")))
    there = sorted({record["kind"] for record in records})
    for kind in kinds:
        if kind not in there and records:
            raise UserError(f"the run has no tasks of type {kind!r}: it has {', '.join(there)}")
    return Wanted(
        kinds,
        space.first_step,
        space.last_step,
        space.min_rate,
        space.max_rate,
        space.learnable,
        space.contains,
    )


def _list(say: Writer, shown: Sequence[Record], found: int, everything: int) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("id", "step", "solved"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("type", no_wrap=True)
    table.add_column("task", no_wrap=True)
    kinds = max([len(record["kind"]) for record in shown], default=0)
    room = max(20, say.width - 23 - kinds)  # beside the other columns
    for record in shown:
        numbers = str(record["id"]), str(record["step"]), percent(record["solve_rate"])
        text = cut(_in_short(record["payload"]), room)
        table.add_row(*numbers, Text(plain(record["kind"])), Text(text))  # no markup of rich
    if shown:
        say.table(table)
    say(f"{len(shown)} shown of {found} that fit, of {everything} tasks of the run")


def _in_short(payload: Mapping[str, Any]) -> str:
    """A task on a line: its fields, but for hashes."""
    texts = [
        value if isinstance(value, str) else json.dumps(value)
        for name, value in payload.items()
        if not name.endswith("_key")
    ]
    return " · ".join(" ".join(text.split()) for text in texts)


def _show(say: Writer, folder: Path, records: Sequence[Record], number: int) -> None:
    found = next((record for record in records if record["id"] == number), None)
    if found is None:
        raise UserError(f"{folder} has no task {number}: its ids go from 1 to {len(records)}")
    for name, value in found.items():
        if name != "payload":
            say(plain(f"{name}: {value if isinstance(value, str) else json.dumps(value)}"))
    for name, value in found["payload"].items():
        say(f"\n{plain(name)}:")
        for line in (value if isinstance(value, str) else json.dumps(value)).splitlines():
            say(f"    {plain(line)}")
