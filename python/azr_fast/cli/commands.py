"""From the words on the command line to the command that they name."""

from __future__ import annotations

import argparse
import importlib
import shlex
from collections.abc import Sequence

from azr_fast import __version__
from azr_fast.cli.parser import Parser
from azr_fast.config.load import nearest
from azr_fast.errors import UserError

# Each is a module of this package with `add_options(parser)`, which also sets what to run.
COMMANDS = {
    "train": "train a model by self-play, or go on with a run",
    "seed": "make the tasks that runs begin with, into a file",
    "report": "what a run has come to, and its curves",
    "tasks": "list, choose and export the tasks of a run",
    "compare": "two runs side by side, and what their configs differ in",
    "export": "the model of a run as a folder for others, with a model card",
    "eval": "score a model on benchmarks, compare it with another",
    "models": "list built-in models; make a model ready",
    "sandbox": "run programs in the sandbox, watch it, serve it over HTTP",
    "doctor": "what training needs and what of it is here",
}


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options of the command that `words` begin with; `run` is the function to call."""
    if not words or words[0].startswith("-"):
        _refuse_option_of_train(words)
        return _top().parse_args(words or ["--help"])
    command = words[0]
    if command not in COMMANDS:
        raise UserError(
            f"unknown command '{command}': the nearest is '{nearest(command, COMMANDS)}' "
            f"(commands: {', '.join(COMMANDS)})"
        )
    return parser_of(command, words[1:]).parse_args(words[1:])


def parser_of(command: str, words: Sequence[str]) -> Parser:
    """The parser of a command; `words` are what it will parse, which its help may depend on."""
    parser = Parser(prog=f"azr-fast {command}", description=COMMANDS[command])
    importlib.import_module(f"azr_fast.cli.{command}").add_options(parser, words)
    return parser


def _refuse_option_of_train(words: Sequence[str]) -> None:
    option = words[0].partition("=")[0] if words else ""
    of_train = {"preset", "resume", "dry-run", "time-limit"}
    if option.startswith("--") and ("." in option or option[2:] in of_train):
        raise UserError(f"{option} follows a command: azr-fast train {shlex.join(words)}")


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
    parser.add_argument("--version", action="version", version=f"azr-fast {__version__}")
    return parser
