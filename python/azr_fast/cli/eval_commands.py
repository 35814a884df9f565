"""What `azr-fast eval` does: list, validate, score, compare, judge again."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from rich.console import Console

from azr_fast.cli import eval_show
from azr_fast.cli.eval_asked import Asked, read_asked
from azr_fast.cli.eval_results import Answers, tell, write_logs
from azr_fast.cli.eval_show import Display
from azr_fast.cli.log import show_log
from azr_fast.cli.stop import stop_on_signals
from azr_fast.errors import UserError
from azr_fast.evaluate.benchmark import Tools
from azr_fast.evaluate.opening import open_tools, open_voice
from azr_fast.evaluate.registry import benchmark_names, find_benchmark
from azr_fast.evaluate.run import Evaluation, Work, regraded
from azr_fast.evaluate.store import Row, Store
from azr_fast.evaluate.subject import find_files, subject_of
from azr_fast.evaluate.validate import validate
from azr_fast.policy.models import ModelFiles
from azr_fast.rollout import chosen_engine
from azr_fast.rollout.decoder import Interrupted
from azr_fast.rollout.engine import EngineDied
from azr_fast.sandbox.client import SandboxLost

STOPPING = "stopping; again to stop at once"
GOES_ON = "what was answered is kept in {}, and the same command goes on from it"


def list_benchmarks() -> int:
    """The benchmarks that are installed."""
    eval_show.print_benchmarks(Console(), [find_benchmark(name) for name in benchmark_names()])
    return 0


def validate_benchmark(space: argparse.Namespace) -> int:
    """Try the judge; 1 where it is wrong about an answer."""
    asked, console = read_asked(space, [space.validate]), Console()
    with _opened(console, asked) as (runner, tools, display):
        (work,) = asked.works(tools)
        display.begin(f"{work.benchmark.name}: items")
        checks = runner.run(validate(work.benchmark, work.tasks, display.show))
    eval_show.print_checks(console, work.benchmark, len(work.tasks), checks)
    return 0 if all(check.ok for check in checks) else 1


def score(space: argparse.Namespace) -> int:
    """Score one subject, or compare two. 130 where a signal stopped it."""
    asked, console = read_asked(space), Console()
    subjects = [find_files(name) for name in (space.model, space.against) if name]
    with (
        _opened(console, asked) as (runner, tools, display),
        show_log(console),
        stop_on_signals(lambda: display.note(STOPPING)) as stop,
    ):
        scorer = _Scorer(asked, runner, display, stop)
        works = asked.works(tools)
        try:
            answers = [scorer.answers(subject, works) for subject in subjects]
            write_logs(asked, works, answers, runner, display.note)
        except Interrupted:
            display.note(f"stopped: {GOES_ON.format(asked.store)}")
            return 130
    tell(console, asked, answers)
    return 0


def regrade(space: argparse.Namespace) -> int:
    """Judge saved answers again; no model is looked for."""
    asked, console = read_asked(space), Console()
    names = [name for name in (space.model, space.against) if name]
    with _opened(console, asked) as (runner, tools, display):
        works = asked.works(tools)
        answers = [_judged_again(asked, works, name, runner, display) for name in names]
        write_logs(asked, works, answers, runner, display.note)
    tell(console, asked, answers)
    return 0


@dataclass(frozen=True, slots=True)
class _Scorer:
    asked: Asked
    runner: asyncio.Runner
    display: Display
    should_stop: Callable[[], bool]

    def answers(self, files: ModelFiles, works: list[Work]) -> Answers:
        """What a subject answers to each benchmark."""
        speech = self.asked.speech(files, works)
        self.display.note(f"{files.name}: reading {files.folder}")
        subject = subject_of(files, chosen_engine(speech.rollout), speech.model)
        stop, speed = self.should_stop, self.display.speed
        found: Answers = {}
        with open_voice(files, speech, self.runner, stop, speed) as voice:
            if voice.renderer.template.is_plain:
                self.display.note(eval_show.NO_TEMPLATE.format(files.name))
            for work in works:
                name = work.benchmark.name
                self.display.begin(f"{name} ({work.benchmark.form}): answers")
                store = Store(self.asked.store / name)
                evaluation = Evaluation(subject, store, voice, self.runner, self.display.show)
                found[name] = evaluation.rows(work)
        return found


def _judged_again(
    asked: Asked, works: list[Work], model: str, runner: asyncio.Runner, display: Display
) -> Answers:
    found: Answers = {}
    for work in works:
        name = work.benchmark.name
        store = Store(asked.store / name)
        saved = _newest(store.rows(), model, work.benchmark.form)
        if not saved:
            raise UserError(
                f"no answer of {model} to {name} ({work.benchmark.form}) is kept in {store.folder}:"
                " leave out --regrade to get some, or name the --store that has them"
            )
        tasks = {task.key: task for task in work.tasks}
        pairs = [(tasks[row.item], row) for row in saved if row.item in tasks]
        if not pairs:
            raise UserError(
                f"{len(saved)} answers of {model} to {name} are kept, and none is to an item of "
                "these records: give the --data and the --limit that they were sampled with"
            )
        display.begin(f"{name}: {len(pairs)} saved answers")
        found[name] = runner.run(regraded(work.benchmark, pairs))
        for row in found[name]:
            store.add(row)
        store.flush()
    return found


def _newest(rows: list[Row], model: str, form: str) -> list[Row]:
    """The rows of a model, of the weights and the sampling that were evaluated last."""
    mine = [row for row in rows if row.model == model and row.form == form]
    if not mine:
        return []
    last = max(mine, key=lambda row: row.created)
    same = (last.weights, last.engine, last.sampling, last.seed)
    return [row for row in mine if (row.weights, row.engine, row.sampling, row.seed) == same]


@contextmanager
def _opened(console: Console, asked: Asked) -> Iterator[tuple[asyncio.Runner, Tools, Display]]:
    """What every command needs; whatever ends it from outside is told as a UserError."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        tools = stack.enter_context(open_tools(runner))
        display = stack.enter_context(closing(Display(console)))
        try:
            yield runner, tools, display
        except (EngineDied, SandboxLost) as error:
            told = str(error).partition(": continue from")[0]
            raise UserError(f"{told}: {GOES_ON.format(asked.store)}") from error
