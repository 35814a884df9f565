"""The end of an evaluation: its tables, and the files that were asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from rich.console import Console

from azr_fast.cli import eval_show
from azr_fast.cli.eval_asked import Asked
from azr_fast.errors import UserError
from azr_fast.evaluate.benchmark import Benchmark
from azr_fast.evaluate.inspect_log import write_inspect_log
from azr_fast.evaluate.recorded import first_question
from azr_fast.evaluate.run import Work
from azr_fast.evaluate.statistics import Paired
from azr_fast.evaluate.store import Row
from azr_fast.evaluate.summary import compare, score_of
from azr_fast.observe.files import write_whole
from azr_fast.types import Task

Answers = dict[str, list[Row]]  # by benchmark
POOLED = "all together"


def tell(console: Console, asked: Asked, answers: Sequence[Answers]) -> None:
    """Print the scores of each subject, and how much the first one is better."""
    told = []
    for one in answers:
        name = next(rows[0].model for rows in one.values() if rows)
        scores = [score_of(rows, asked.ks) for rows in one.values()]
        eval_show.print_scores(console, name, scores)
        told.append({"model": name, "scores": [asdict(score) for score in scores]})
    pairs = comparisons(*answers) if len(answers) == 2 else {}
    if pairs:
        eval_show.print_comparison(console, str(told[0]["model"]), str(told[1]["model"]), pairs)
    if asked.json:
        compared = {name: asdict(pair) for name, pair in pairs.items()}
        text = json.dumps({"models": told, "compared": compared}, indent=1) + "\n"
        with _writing(asked.json, asked):
            write_whole(asked.json, text)


def write_logs(
    asked: Asked,
    works: Sequence[Work],
    answers: Sequence[Answers],
    runner: asyncio.Runner,
    note: Callable[[str], None],
) -> None:
    """Logs for `inspect view`, if they were asked for."""
    if not asked.inspect:
        return
    for work in works:
        prompts = {task.key: runner.run(_prompt(work.benchmark, task)) for task in work.tasks}
        for one in answers:
            with _writing(asked.inspect, asked):
                log = write_inspect_log(asked.inspect, one[work.benchmark.name], prompts)
            note(f"log: {log}")


@contextmanager
def _writing(place: Path, asked: Asked) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {place}: {error.strerror or error}; the answers are kept in "
            f"{asked.store}, and the same command with another place samples none again"
        ) from None


async def _prompt(benchmark: Benchmark, task: Task) -> str:
    question = await first_question(benchmark, task)
    return "\n\n".join([*(one.content for one in question.messages), question.prefill]).strip()


def comparisons(ours: Answers, theirs: Answers) -> dict[str, Paired]:
    """By benchmark, and of several all together, pooled by item."""
    pairs = {name: compare(rows, theirs[name]) for name, rows in ours.items()}
    if len(pairs) > 1:
        pairs[POOLED] = compare(*([*chain(*one.values())] for one in (ours, theirs)))
    return pairs
