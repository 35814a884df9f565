"""`azr-fast report RUN`: what a run, going on or over, has come to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from azr_fast.observe.plot import plot_run
from azr_fast.observe.report import print_summary


def add_options(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """The run, and whether to draw its curves."""
    parser.add_argument("folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("--plot", metavar="FILE.png", type=Path, help="draw the curves into a file")
    parser.set_defaults(run=report)


def report(space: argparse.Namespace) -> int:
    """Print the summary; draw where asked."""
    console = Console()
    print_summary(space.folder, console)
    if space.plot:
        picture = plot_run(space.folder, space.plot)
        console.print(f"plot: {picture}", markup=False, highlight=False, soft_wrap=True)
    return 0
