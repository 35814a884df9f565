"""Evaluations within a run: scores of the weights as they are after a step.

Nothing of the run's is touched: answers are greedy, tasks come from a file, and verdicts from a
sandbox of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

from azr_fast.config.evaluation import EvalConfig
from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.evaluate.data import data_files
from azr_fast.evaluate.opening import open_tools
from azr_fast.evaluate.records import load_tasks
from azr_fast.evaluate.registry import find_benchmark, find_benchmarks
from azr_fast.evaluate.run import Evaluation, Subject, Voice, Work
from azr_fast.evaluate.store import Row, Store, digest_of, write_rows
from azr_fast.evaluate.summary import Score, score_of
from azr_fast.observe.files import json_line, write_whole
from azr_fast.observe.progress import Observer
from azr_fast.rollout.decoder import Decoder, Interrupted
from azr_fast.rollout.engine import Engine, EngineDied
from azr_fast.rollout.parity import ParityError
from azr_fast.rollout.renderer import Renderer
from azr_fast.sandbox.client import SandboxLost
from azr_fast.types import Sampling, Task

PREFIX = "eval_"  # of a benchmark's name, in a line of the metrics


@contextmanager
def open_scorer(config: Config, runner: asyncio.Runner) -> Iterator[Scorer | None]:
    """What scores a run; None where it is not asked for. All records are read now.

    Raises UserError for benchmarks or files that are not there.
    """
    if not config.eval.every:
        yield None
        return
    kinds = find_benchmarks(config.eval.benchmarks, config.eval.form)
    if config.eval.score:
        _require(config.eval, [kind.name for kind in kinds])
    files = data_files(config.eval.data, [kind.name for kind in kinds])
    with open_tools(runner, zygotes=2) as tools:
        rollout = config.rollout
        works = []
        for kind in kinds:
            benchmark = kind(tools, config.eval.form)
            tasks = load_tasks(benchmark, files.get(kind.name, files.get("")))
            sampling = Sampling(rollout.max_new_tokens, temperature=0.0)
            works.append(Work(benchmark, _subset(tasks, config.eval.items), sampling))
        yield Scorer(config, works, runner)


def _require(config: EvalConfig, names: Sequence[str]) -> None:
    if find_benchmark(config.score).name not in names:
        raise UserError(
            f"eval.score is {config.score}, which is not evaluated: it is one of {', '.join(names)}"
        )


def _subset(tasks: Sequence[Task], count: int) -> list[Task]:
    """The same items whatever their order in the file."""
    return sorted(tasks, key=lambda task: digest_of(task.key))[:count]


class Scorer:
    """Scores the weights that an engine holds, every few steps."""

    def __init__(self, config: Config, works: Sequence[Work], runner: asyncio.Runner) -> None:
        self._config = config
        self._works = works
        self._runner = runner
        self._history: list[float] = []

    def listen(
        self, engine: Engine, renderer: Renderer, should_stop: Callable[[], bool], folder: Path
    ) -> None:
        """Ask this engine from now on; answers are kept in `folder`."""
        decoder = Decoder(engine, self._runner, should_stop)
        self._voice = Voice(renderer, lambda: decoder, self._config.rollout.max_prompt_tokens)
        self._engine = engine.name
        self._folder = folder

    def after(self, step: int, sync: Callable[[], None], observer: Observer) -> dict[str, float]:
        """The share of right answers by benchmark, as `eval_NAME` between `eval_NAME_low` and
        `eval_NAME_high`, the ends of its 95% interval, and their mean as `eval_mean`, with the
        weights after `step`, which `sync` gives the engine.

        Nothing where none are due, or where the evaluation is interrupted or breaks off: the step
        is whole without it, and the next one mends what died.
        """
        if step % self._config.eval.every:
            return {}
        try:
            sync()
            observer.phase("eval", None)  # after the sync, which is a phase of its own
            rows = {work.benchmark.name: self._rows(step, work) for work in self._works}
            scores = [score_of(some) for some in rows.values()]
            self._keep(step, rows.values(), _numbers(scores))
        except Interrupted:
            return {}
        except (EngineDied, SandboxLost, ParityError) as error:
            observer.note(f"no scores after step {step}: {error}")
            return {}
        observer.note(f"scores after step {step}: {_told(scores)}")
        return _numbers(scores)

    def _keep(self, step: int, rows: Iterable[Sequence[Row]], numbers: Mapping[str, float]) -> None:
        """The answers, and the scores beside them: those before the first step stand in no line of
        the metrics."""
        write_rows(self.file(step), [row for some in rows for row in some])
        write_whole(self.file(step).with_suffix(".json"), json_line(numbers))

    def file(self, step: int) -> Path:
        """Where the answers after a step are kept."""
        return self._folder / f"step-{step:06d}.parquet"

    def recall(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take in the steps that a resumed run has made."""
        for line in lines:
            self.take(line)

    def take(self, line: Mapping[str, Any]) -> None:
        """Take in a step's line of the metrics."""
        name = self._config.eval.score
        score = line.get(f"{PREFIX}{find_benchmark(name).name if name else 'mean'}")
        if score is not None:
            self._history.append(float(score))

    @property
    def exhausted(self) -> bool:
        """Whether so many evaluations brought nothing better that the run should stop."""
        patience = self._config.eval.patience
        if not patience or len(self._history) <= patience:
            return False
        return max(self._history[-patience:]) <= max(self._history[:-patience])

    def _rows(self, step: int, work: Work) -> list[Row]:
        subject = Subject(str(self._folder), f"step {step}", self._engine)
        return Evaluation(subject, _Nowhere(), self._voice, self._runner).rows(work)


def _numbers(scores: Sequence[Score]) -> dict[str, float]:
    """Scores as they stand in a line of the metrics."""
    found: dict[str, float] = {}
    for score in scores:
        low, high = score.interval
        name = f"{PREFIX}{score.benchmark}"
        found |= {name: score.score, f"{name}_low": low, f"{name}_high": high}
    return found | {f"{PREFIX}mean": fmean(score.score for score in scores)}


def _told(scores: Sequence[Score]) -> str:
    """Scores for people."""
    parts = [
        f"{score.benchmark} {score.score:.1%} "
        f"({100 * score.interval[0]:.1f} to {100 * score.interval[1]:.1f})"
        for score in scores
    ]
    return ", ".join([*parts, f"mean {fmean(score.score for score in scores):.1%}"])


class _Nowhere(Store):
    """Keeps nothing: the weights of a step are evaluated once."""

    def __init__(self) -> None:
        pass

    def get(self, key: str) -> None:
        """Nothing is known."""

    def add(self, row: Row) -> None:
        """Nothing is kept."""

    def flush(self) -> None:
        """Nothing is written."""
