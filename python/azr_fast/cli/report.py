"""`azr-fast report RUN`: what a run, going on or over, has come to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from azr_fast.errors import UserError
from azr_fast.observe.episodes import EPISODES
from azr_fast.observe.page import write_page
from azr_fast.observe.plot import plot_run
from azr_fast.observe.report import Writer, print_summary
from azr_fast.observe.serve import open_server

PAGE = "report.html"
PORT = 8642
DESCRIPTION = """\
Print what a run, going on or over, has come to, and write a page of it: one HTML file with the
curves and a browser of episodes, that needs no network and can be sent to others."""
EPILOG = """\
examples:
  azr-fast report runs/hour                     # the summary, and runs/hour/report.html
  azr-fast report runs/hour --output hour.html  # the page in another place
  azr-fast report runs/hour --plot curves.png   # the main curves as a picture
  azr-fast report runs/hour --serve             # follow a run that goes on, in a browser"""


def add_options(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """The run, and what to make of it beside the summary."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help=f"where the page goes (default: RUN/{PAGE})"
    )
    parser.add_argument("--plot", metavar="FILE.png", type=Path, help="draw the curves into a file")
    parser.add_argument(
        "--episodes",
        metavar="N",
        type=at_least(0),
        default=EPISODES,
        help=f"about how many episodes the page holds at most (default: {EPISODES})",
    )
    parser.add_argument(
        "--serve", action="store_true", help="serve the page on this machine until Ctrl-C"
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=at_least(0),
        default=PORT,
        help=f"port of --serve (default: {PORT}; 0: any that is free)",
    )
    parser.set_defaults(run=report)


def at_least(least: int) -> type[int]:
    """A type of argparse for whole numbers from `least` on."""

    class Number(int):
        def __new__(cls, text: str) -> Number:
            number = super().__new__(cls, text)
            if number < least:
                raise argparse.ArgumentTypeError(f"{text} is less than {least}")
            return number

    Number.__name__ = "whole number"  # for argparse's message
    return Number


def report(space: argparse.Namespace) -> int:
    """Print the summary, write the page, draw where asked; or serve the page."""
    folder = space.folder.expanduser()
    say = Writer(Console())
    if space.serve:
        return _serve(space, folder, say)
    print_summary(folder, Console())
    if space.plot:
        say(f"plot: {plot_run(folder, space.plot.expanduser())}")
    if space.output:
        say(f"page: {write_page(folder, space.output.expanduser(), space.episodes)}")
        return 0
    try:
        say(f"page: {write_page(folder, folder / PAGE, space.episodes)}")
    except UserError as error:  # a folder that may be read only: the summary is what was asked for
        say(f"page: {error}")
    return 0


def _serve(space: argparse.Namespace, folder: Path, say: Writer) -> int:
    with open_server(folder, space.port, space.episodes) as server:
        say(f"http://localhost:{server.server_port} shows {folder} as it goes on; Ctrl-C ends")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("ended; the run is not touched by that")
    return 0
