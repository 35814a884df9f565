"""`azr-fast models list | fetch`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from azr_fast.cli.log import show_log

DESCRIPTION = """\
List the built-in models, or make a model ready: it is found or fetched, its
files are checked, and a .gguf file is converted. `train` and `eval` do so
themselves; `fetch` does it beforehand, where there is a network."""
EPILOG = """\
examples:
  azr-fast models list
  azr-fast models fetch smollm2-135m"""


def add_options(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """`list` and `fetch NAME`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    commands.add_parser("list", help="built-in models, and what of them is here").set_defaults(
        run=list_models
    )
    what = "make a model ready to train: get, check, convert"
    fetch = commands.add_parser("fetch", help=what, description=f"{what.capitalize()}.")
    fetch.add_argument(
        "name", metavar="NAME", help="built-in name, Hugging Face folder, .gguf file or hub id"
    )
    fetch.set_defaults(run=fetch_model)


def list_models(_space: argparse.Namespace) -> int:
    """A table of the built-in models."""
    from azr_fast.policy import models

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("name", "description", "licence", "MB", "state"):
        table.add_column(column, justify="right" if column == "MB" else "left")
    for model in models.list_models():
        state = (
            "ready" if model.cached else "to be converted" if model.installed else "not installed"
        )
        size = f"{model.bytes / 1e6:.0f}"
        table.add_row(model.name, model.description, model.licence, size, state)
    console = Console()
    console.print(table)
    console.print(
        "Others: --model.name FOLDER, FILE.gguf or a hub id (owner/name).", highlight=False
    )
    return 0


def fetch_model(space: argparse.Namespace) -> int:
    """Resolve the model and say where it lies."""
    from azr_fast.policy.models import resolve_model

    with show_log(Console()):
        files = resolve_model(space.name)
    print(f"{files.name}: {files.folder}")
    return 0
