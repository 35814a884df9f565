"""Rewards of proposals for what their programs are like (paper, appendix D); off by default.

Measures are taken in a thread beside the play as soon as a proposal has passed, so that nothing
waits for them: they are there when rewards are given.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec

from azr_fast.errors import UserError
from azr_fast.games.azr import measures
from azr_fast.games.azr.config import IntrinsicConfig
from azr_fast.games.azr.tasks import SEED_KINDS
from azr_fast.games.game import Tasks
from azr_fast.types import Episode, Source, Task

_LIBRARIES = {"cognitive": "complexipy", "distance": "rapidfuzz"}
_Key = tuple[str, tuple[str, ...]]


class Intrinsic:
    """Measures programs that are proposed for deduction and abduction: for induction the program
    is given."""

    def __init__(self, config: IntrinsicConfig) -> None:
        for measure in config.weights:
            _require(measure)
        self._config = config
        self._thread = ThreadPoolExecutor(1, "intrinsic") if config.weights else None
        self._measured: dict[_Key, Future[dict[str, float]]] = {}
        self._outputs: dict[str, Counter[str]] = {}

    def look(self, kind: str, tasks: Tasks) -> None:
        """Count the outputs of the tasks that are known at the beginning of a step."""
        if self._config.diversity and kind in SEED_KINDS:
            outputs = (str(posed.task.payload["output"]) for posed in tasks.posed([kind]))
            self._outputs[kind] = Counter(outputs)

    def begin(self, source: Source, task: Task) -> None:
        """Begin to measure a proposal that passed."""
        if self._thread and task.kind in SEED_KINDS:
            self._measured[_key(source, task)] = self._thread.submit(self._measure, source, task)

    def reward(self, reward: float, proposal: Episode) -> float:
        """The reward of a proposal of a learnable task with what its program is worth; the measures
        are added to its facts."""
        source, task = proposal.source, proposal.verdict.task
        if not self._thread or source is None or task is None or task.kind not in SEED_KINDS:
            return reward
        begun = self._measured.get(_key(source, task))
        found = begun.result() if begun else self._measure(source, task)
        proposal.facts |= found
        return combined(reward, found, self._config)

    def end_step(self) -> None:
        """Forget what was measured for a step."""
        self._measured.clear()

    def _measure(self, source: Source, task: Task) -> dict[str, float]:
        program, kinds = str(task.payload["program"]), self._config.weights
        measured: dict[str, float] = {}
        if "cognitive" in kinds:
            measured["cognitive"] = measures.cognitive_complexity(program)
        if "cyclomatic" in kinds:
            measured["cyclomatic"] = measures.cyclomatic_complexity(program)
        if "distance" in kinds:
            shown = [str(reference.payload["program"]) for reference in source.references]
            measured["distance"] = measures.tree_distance(program, shown)
        if "diversity" in kinds:
            measured["diversity"] = self._diversity(task)
        return measured

    def _diversity(self, task: Task) -> float:
        """1 less the share of known tasks that have this output."""
        outputs = self._outputs.get(task.kind, Counter())
        return 1.0 - outputs[str(task.payload["output"])] / max(1, outputs.total())


def combined(reward: float, found: Mapping[str, float], config: IntrinsicConfig) -> float:
    """A reward and weighted measures, each of at most `most`, in the config's way."""
    parts = [min(weight * found[name], config.most) for name, weight in config.weights.items()]
    match config.combine:
        case "sum":
            return reward + sum(parts)
        case "multiply":
            return reward * math.prod(parts)
        case "sum_multiply":
            return reward + math.prod(parts)
        case "multiply_sum":
            return reward * sum(parts)


def _key(source: Source, task: Task) -> _Key:
    return task.key, tuple(reference.key for reference in source.references)


def _require(measure: str) -> None:
    library = _LIBRARIES.get(measure)
    if library and find_spec(library) is None:
        raise UserError(
            f"intrinsic.{measure} needs the package {library}: `make train`, or in the source "
            f"folder pip install '.[intrinsic]', or set intrinsic.{measure} to 0"
        )
