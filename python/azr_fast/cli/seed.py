"""`azr-fast seed`: the tasks that runs begin with, made once and kept in a file."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console

from azr_fast.cli.log import show_log
from azr_fast.cli.parser import add_config_options, overrides
from azr_fast.cli.stop import Stop, stop_on_signals
from azr_fast.cli.train import open_run, shown_config
from azr_fast.config.load import preset_names
from azr_fast.errors import UserError
from azr_fast.observe.progress import Observer, open_observer
from azr_fast.observe.typed import typed
from azr_fast.selfplay.taskfile import read_tasks, write_tasks
from azr_fast.types import Task

DESCRIPTION = """\
Fill the task buffers with the untrained model, as the beginning of a run does,
and write the tasks to a file, one a line as JSON. No weight changes.

The file serves any number of runs: azr-fast train --seeding.file FILE. What it
says is checked anew there: each program is run and its outputs are compared.
The run that made it can be trained, too: azr-fast train --resume RUN.

Ctrl-C stops and writes what there is."""

EPILOG = """\
examples:
  azr-fast seed --preset azr-paper-7b --out seeds.jsonl
  azr-fast seed --run.name seeds --seeding.tasks 64    into runs/seeds/seeds.jsonl
  azr-fast seed --from runs/hour --out seeds.jsonl     those that a run began with
  azr-fast train --seeding.file seeds.jsonl"""

FILE = "seeds.jsonl"


def add_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """The options of `seed`: those of a new run, and where the tasks go."""
    chosen, shown = shown_config(words)
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.usage = "azr-fast seed [--preset NAME|FILE] [--from RUN] [--out FILE] [--KEY VALUE ...]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--preset",
        metavar="NAME|FILE",
        help=f"{', '.join(preset_names())}, or a .toml file (the defaults below are of {chosen})",
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help=f"where to write (default: {FILE} in the run)"
    )
    parser.add_argument(
        "--from", dest="source", metavar="RUN", type=Path, help="write the seeds of this run"
    )
    add_config_options(parser, shown)
    parser.set_defaults(run=seed, resume=None)


def seed(space: argparse.Namespace) -> int:
    """Run the command. Returns the exit code."""
    if space.out:
        space.out = space.out.expanduser().absolute()
        check_writable(space.out)
    if space.source:
        refuse_options(space)
        write(seeds_of(space.source.expanduser()), space.out or Path(FILE).absolute())
        return 0
    console = Console()
    observer = open_observer(console)
    with (
        closing(observer),
        show_log(console),
        stop_on_signals(lambda: observer.note("stopping")) as stop,
    ):
        tasks, folder = play(space, observer, stop)
    write(tasks, space.out or folder / FILE)
    return 0


def play(space: argparse.Namespace, observer: Observer, stop: Stop) -> tuple[Sequence[Task], Path]:
    """Begin a run. Returns its seeds, as far as it came, and its folder."""
    with ExitStack() as stack:
        with stop.at_once():
            run = stack.enter_context(open_run(space))
            # These import torch, which takes seconds; a name that is taken has been refused by now.
            from azr_fast.cli.endings import known_endings
            from azr_fast.rollout.decoder import Interrupted
            from azr_fast.session import open_trainer

            stack.enter_context(known_endings(run))
            trainer = stack.enter_context(open_trainer(run.config, run, observer, stop))
        try:
            trainer.begin()
        except Interrupted:
            observer.note("stopped: --seeding.file goes on with the tasks that there are")
        posed = trainer.buffer.posed(trainer.game.kinds)
        return [one.task for one in posed], run.path


def refuse_options(space: argparse.Namespace) -> None:
    """Raise UserError for options of a new run beside --from, which makes none."""
    if space.preset or overrides(space):
        raise UserError("--from makes no run: leave out --preset and the keys of the config")


def seeds_of(run: Path) -> list[Task]:
    """The seeds of a run that is there. Raises UserError."""
    if not (run / "tasks.db").is_file():
        raise UserError(f"{run} is no run with tasks (no tasks.db): give the folder of a run")
    return read_tasks(str(run / "tasks.db"), seeds_only=True)


def check_writable(path: Path) -> None:
    """Raise UserError for a file that is there, or whose folder is not."""
    if path.exists():
        raise UserError(f"--out {path} exists: remove it, or give another name")
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: there is no folder {path.parent}; make it first")


def write(tasks: Sequence[Task], path: Path) -> None:
    """Write the tasks and say where they are."""
    check_writable(path)
    try:
        write_tasks(path, tasks)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    counts = Counter(task.kind for task in tasks)
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    print(f"{path}: {told}")
    print(f"use: {typed()} train --seeding.file {path}")
