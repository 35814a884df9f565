"""`azr-fast train`: from the command line to a finished run and its summary."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console

from azr_fast.cli.export import uses
from azr_fast.cli.log import show_log
from azr_fast.cli.parser import add_config_options, overrides
from azr_fast.cli.plan import plan_lines
from azr_fast.cli.stop import Stop, stop_on_signals
from azr_fast.config.games import DEFAULT, find_game, game_of
from azr_fast.config.load import default_preset, dump_config, load_config, preset_names
from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.observe.files import read_lines
from azr_fast.observe.places import anchored
from azr_fast.observe.progress import Observer, open_observer
from azr_fast.observe.report import print_summary
from azr_fast.observe.runfolder import CONFIG_FILE, RunFolder, resumed_config
from azr_fast.observe.typed import command
from azr_fast.observe.verdict import verdict
from azr_fast.policy.checkpoint import ADAPTER_FOLDER, MODEL_FOLDER

DESCRIPTION = """\
Train a language model by Absolute Zero self-play: it proposes Python tasks,
solves them, is rewarded by running the code, and learns.

Every key of the config is an option below; a preset or a TOML file sets the
rest. Ctrl-C, SIGTERM, SIGHUP (unless nohup has it ignored) and SIGUSR1 stop
after a checkpoint with exit code 0, or at once with 130 while the run loads; a
second one stops at once. `azr-fast train --resume RUN` goes on. Output that
cannot be written, as after `| head`, is dropped: the run goes on to its end,
and its exit code tells of the run alone."""

EPILOG = """\
examples:
  azr-fast train                             # the preset that fits this machine
  azr-fast train --dry-run                   # what that is, and the work of a step
  azr-fast train --game agent0               # another game, by its preset for this machine
  azr-fast train --time-limit 60 --run.name hour
  azr-fast train --resume runs/hour --time-limit 120
  azr-fast train --dry-run > mine.toml
  azr-fast train --preset mine.toml --rollout.temperature 0.8

a file is laid over a preset or another file that it names above its sections,
extends = "cpu"; what it leaves out is as there, without it as in the preset
that fits this machine

a list is typed with commas: --game.kinds deduction,abduction
an optional value is unset with none: --reward.duplicate none"""


STOPPING = "stopping after a checkpoint of the steps made; again to stop at once"


class _PresetOfGame(argparse.Action):
    """Stands for --preset with the preset of the game that is named."""

    def __call__(
        self, _parser: object, namespace: argparse.Namespace, value: object, *_rest: object
    ) -> None:
        namespace.preset = preset_of_game(str(value or ""))


def preset_of_game(game: str) -> str:
    """The preset of a game that fits this machine. Raises UserError where it has none."""
    machine = default_preset()
    preset = machine if game == DEFAULT else f"{game}-{machine}"
    if find_game(game) and preset not in preset_names():
        raise UserError(
            f"the game {game} has no preset {preset}: name one by --preset, and the game by "
            "--game.name"
        )
    return preset


def add_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """The options of `train`; help shows the defaults of the preset that `words` name."""
    chosen, shown = shown_config(words)
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.usage = (
        "azr-fast train [--preset NAME|FILE] [--resume RUN] [--dry-run] [--KEY VALUE ...]"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--preset",
        metavar="NAME|FILE",
        help=f"{', '.join(preset_names())}, or a .toml file (here: {default_preset()}; "
        f"the defaults below are those of {chosen})",
    )
    parser.add_argument(
        "--game",
        metavar="NAME",
        action=_PresetOfGame,
        default=argparse.SUPPRESS,
        help="short for the --preset of a game that fits this machine, such as agent0-cpu",
    )
    parser.add_argument(
        "--resume", metavar="RUN", type=Path, help="go on with the run in this folder"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the config and the work of a step; no more"
    )
    parser.add_argument(
        "--time-limit",
        dest="run.time_limit_minutes",
        metavar="MINUTES",
        default=argparse.SUPPRESS,
        help="short for --run.time_limit_minutes",
    )
    add_config_options(parser, shown)
    parser.set_defaults(run=train)


def shown_config(words: Sequence[str]) -> tuple[str, Config]:
    """The config whose keys are the options, and its name: the run's to resume, or the preset's."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--preset", "--resume", "--game.name"):
        first.add_argument(option, nargs="?")
    first.add_argument("--game", action=_PresetOfGame, default=argparse.SUPPRESS, nargs="?")
    space = vars(first.parse_known_args(words)[0])
    config = Path(space["resume"] or "").expanduser() / CONFIG_FILE
    if space["resume"] and config.is_file():
        return space["resume"], load_config(config)
    preset, game = _preset(space["preset"]), space["game.name"]
    return preset, load_config(preset, {"game.name": game} if game else {})


def _preset(typed: str | None) -> str:
    """What was typed; where nothing was, the preset for this machine."""
    return default_preset() if typed is None else typed


def train(space: argparse.Namespace) -> int:
    """Run the command. Returns the exit code."""
    console = Console()
    if space.resume and space.preset is not None:
        raise UserError("--preset and --resume exclude each other: a run keeps its config")
    if space.dry_run:
        with show_log(Console(stderr=True)):
            config = _dry_config(space)
        print_plan(console, config)
        return 0
    observer = open_observer(console)
    with show_log(console), stop_on_signals(lambda: observer.note(STOPPING)) as stop:
        with closing(observer):
            run = play(space, observer, stop)
        print_summary(run.path, console)
        print_verdict(run, console)
    return 0


def play(space: argparse.Namespace, observer: Observer, stop: Stop) -> RunFolder:
    """Load everything, then train until the run's end or a signal. Returns the run, closed."""
    with ExitStack() as stack:
        with stop.at_once():
            run = stack.enter_context(open_run(space))
            # These import torch, which takes seconds; a name that is taken has been refused by now.
            from azr_fast.cli.endings import known_endings
            from azr_fast.session import open_trainer

            stack.enter_context(known_endings(run))
            trainer = stack.enter_context(open_trainer(run.config, run, observer, stop))
        if not space.resume and space.preset is None:
            others = " | ".join(preset_names())
            observer.note(f"preset {default_preset()} (--preset {others})")
        observer.note(game_of(run.config).aim(run.config))
        trainer.train()
    return run


def print_verdict(run: RunFolder, console: Console) -> None:
    """Whether it learned, last of all, where it is read; and what its model is good for."""
    said = verdict(list(read_lines(run.metrics)))
    console.print(f"\n{said}", markup=False, highlight=False)
    step = run.latest_checkpoint()
    if step:
        console.print(
            f"\n{_product(run.checkpoint(step))}\n"
            f"  {command('export', run.path, 'DIR')}  # a copy with a model card",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _product(checkpoint: Path) -> str:
    """What a checkpoint holds, for people."""
    model, adapter = checkpoint / MODEL_FOLDER, checkpoint / ADAPTER_FOLDER
    if adapter.is_dir():
        return f"adapter: {adapter}, as peft loads it; a model with it merged in:"
    return f"model: {model}, a plain Hugging Face folder\n{uses(model)}"


def open_run(space: argparse.Namespace) -> RunFolder:
    """The run folder to resume, or the name of a new one."""
    if space.resume:
        return RunFolder.resume(space.resume.expanduser(), overrides(space))
    return RunFolder.begin(load_config(_preset(space.preset), overrides(space)))


def print_plan(console: Console, config: Config) -> None:
    """The resolved config as TOML, and the work as TOML comments: the whole is a config file."""
    lines = [dump_config(config), *(f"# {line}" for line in plan_lines(config))]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _dry_config(space: argparse.Namespace) -> Config:
    if space.resume:
        return resumed_config(space.resume.expanduser(), overrides(space))
    return anchored(load_config(_preset(space.preset), overrides(space)))
