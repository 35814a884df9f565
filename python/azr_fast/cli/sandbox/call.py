"""Call a function of a program with argument lists; print what each call gave.

The program is loaded once. Each ARGUMENTS is what stands inside a call's parentheses, of plain
values; '' calls without arguments. Exit status: 0 when every call gave a value, else 1; 2 when
nothing could be called.

  echo 'def f(*x): return x' > program.py
  azr-fast sandbox call program.py f '3, [1, 2]' "'text', None" ''
  azr-fast sandbox call program.py f 7 --timeout 500 --json
  echo 'def f(x): return x * x' | azr-fast sandbox call - f 3 12"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from azr_fast.cli.sandbox.options import (
    add_daemon_options,
    add_limit_options,
    add_place_options,
    add_seed_option,
    opened,
    place_of,
    read_source,
)
from azr_fast.cli.sandbox.show import describe, pass_on, printable
from azr_fast.sandbox.messages import CallReply, Result


def add_options(parser: argparse.ArgumentParser) -> None:
    """The program, its function, the argument lists, the limits, the daemon."""
    parser.add_argument("file", metavar="FILE", type=Path, help="Python source; - for our stdin")
    parser.add_argument("entry", metavar="ENTRY", help="the function to call")
    parser.add_argument("arguments", metavar="ARGUMENTS", nargs="+", help="one call for each")
    parser.add_argument("--json", action="store_true", help="print the whole reply as JSON")
    add_limit_options(parser, timeout="2000", memory="512M", output="1M")
    add_place_options(parser)
    add_seed_option(parser)
    add_daemon_options(parser)
    parser.set_defaults(run=call_function)


def call_function(space: argparse.Namespace) -> int:
    """Call it; 0 when every call gave a value."""
    program = read_source(space.file)
    with opened(space, zygotes=1, jails=int(space.tier == "jail")) as client:
        reply = client.call(program, space.entry, space.arguments, **place_of(space))
    if space.json:
        print(as_json(space.arguments, reply))
    else:
        Console().print(table(space.arguments, reply.results))
        pass_on(reply, verdict_too=reply.verdict != "ok")
    verdicts = {reply.verdict, *(result.verdict for result in reply.results)}
    return int(verdicts != {"ok"})


def table(arguments: Sequence[str], results: Sequence[Result]) -> Table:
    """A row per call. Wide values are folded, not cut."""
    shown = Table("arguments", "verdict", "value", box=None, pad_edge=False)
    for text, result in zip(arguments, results, strict=True):
        why = describe(result).removeprefix(f"{result.verdict}: ")
        value = why if result.value is None else result.value
        verdict = Text(result.verdict, "green" if result.verdict == "ok" else "red")
        shown.add_row(_cell(text), verdict, _cell(value))
    return shown


def as_json(arguments: Sequence[str], reply: CallReply) -> str:
    """The reply with its names, each result with its arguments; output as text."""
    fields = asdict(reply)
    for name in ("stdout", "stderr"):
        fields[name] = (fields[name] or b"").decode("utf-8", "replace")
    pairs = zip(arguments, reply.results, strict=True)
    fields["results"] = [{"arguments": text, **asdict(result)} for text, result in pairs]
    return json.dumps(fields)


def _cell(text: str) -> Text:
    return Text(printable(text), overflow="fold")
