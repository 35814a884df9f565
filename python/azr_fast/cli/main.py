"""The entry point `azr-fast`.

Exit codes: 0 done (a run that Ctrl-C or SIGTERM stopped after a checkpoint included), 1 `doctor` or
`sandbox` found something wrong, 2 bad input or a machine that lacks something (one line on
stderr), 130 stopped at once by Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from azr_fast.cli.machine import version
from azr_fast.cli.parser import Parser
from azr_fast.config.load import nearest
from azr_fast.errors import UserError

# Each is a module of this package with `add_options(parser)`, which also sets what to run.
COMMANDS = {
    "train": "train a model by self-play, or go on with a run",
    "report": "what a run has come to, and its curves",
    "models": "list built-in models; make a model ready",
    "sandbox": "check the sandbox; run a program in it",
    "doctor": "what training needs and what of it is here",
}

NOT_INSTALLED = "azr-fast, run from its sources"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        space = parse(words)
        return int(space.run(space))
    except UserError as error:
        print(f"azr-fast: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("azr-fast: stopped", file=sys.stderr)
        return 130


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options of the command that `words` begin with; `run` is the function to call."""
    if not words or words[0].startswith("-"):
        return _top().parse_args(words or ["--help"])
    command = words[0]
    if command not in COMMANDS:
        raise UserError(
            f"unknown command '{command}': the nearest is '{nearest(command, COMMANDS)}' "
            f"(commands: {', '.join(COMMANDS)})"
        )
    parser = Parser(prog=f"azr-fast {command}", description=COMMANDS[command])
    importlib.import_module(f"azr_fast.cli.{command}").add_options(parser, words[1:])
    return parser.parse_args(words[1:])


def _top() -> Parser:
    """Help and version; the command's own parser is made when one is named."""
    lines = "\n".join(f"  {name:<10}{text}" for name, text in COMMANDS.items())
    parser = Parser(
        prog="azr-fast",
        usage="azr-fast COMMAND ...",
        description="Absolute Zero self-play: a language model poses Python tasks, solves them and "
        "learns from running the code.",
        epilog=f"commands:\n{lines}\n\nazr-fast COMMAND --help tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version("azr-fast") or NOT_INSTALLED)
    return parser
