"""`azr-fast sandbox check | run | call | top | gateway`: the sandbox by hand and for others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from azr_fast.cli.sandbox import call, check, gateway, run, top

COMMANDS = {"check": check, "run": run, "call": call, "top": top, "gateway": gateway}


def add_options(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """A parser per command. Its module's docstring is its help: a line, more of it, examples."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        summary, _, rest = (module.__doc__ or "").partition("\n\n")
        of_command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary}\n\n{rest}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_options(of_command)
