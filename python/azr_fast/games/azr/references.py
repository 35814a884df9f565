"""What a proposal is made from: which tasks are shown, and which programs it is about."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate

from azr_fast.games.azr.composite import CompositeSource, composite_share, draw_given
from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.tasks import SEED_KINDS, identity
from azr_fast.games.game import Tasks
from azr_fast.types import Posed, Source, Task


def draw_sources(
    kind: str, count: int, tasks: Tasks, rng: random.Random, config: GameConfig
) -> list[Source]:
    """Sources of `count` proposals; each run of `references_shared_by` of them is one and the
    same, so that their prompts are computed once."""
    sources: list[Source] = []
    programs = _programs(tasks, rng, config) if kind == "induction" else None
    while len(sources) < count:
        references = (next(programs),) if programs else _shown(kind, tasks, rng, config)
        source = Source(kind, references, rng.getrandbits(63))
        if not programs:
            source = _perhaps_composite(source, tasks, rng, config)
        sources += [source] * min(config.references_shared_by, count - len(sources))
    return sources


def _shown(kind: str, tasks: Tasks, rng: random.Random, config: GameConfig) -> tuple[Task, ...]:
    return tuple(_draw((kind,), config.references, tasks, rng, config))


def _programs(tasks: Tasks, rng: random.Random, config: GameConfig) -> Iterator[Task]:
    """The tasks whose programs induction proposals are about, one after the other."""
    if config.induction_seeds == "each_program" and tasks.step == 0:
        yield from _without_induction(tasks, rng)
    while True:
        drawn = _draw(SEED_KINDS, 1, tasks, rng, config)
        yield drawn[0] if drawn else identity("deduction", config.novelty)


def _without_induction(tasks: Tasks, rng: random.Random) -> list[Task]:
    """One task for each program of which there is no induction task, in random order."""
    served = {posed.task.payload["program_key"] for posed in tasks.posed(["induction"])}
    fresh = {posed.task.payload["program_key"]: posed.task for posed in tasks.posed(SEED_KINDS)}
    wanting = [task for key, task in fresh.items() if key not in served]
    return rng.sample(wanting, len(wanting))


def _draw(
    kinds: tuple[str, ...], count: int, tasks: Tasks, rng: random.Random, config: GameConfig
) -> list[Task]:
    """Tasks without replacement, uniformly (paper, section 3.3.2) or as the config has it."""
    if config.reference_choice == "uniform" and config.reference_tasks == "all":
        return tasks.draw(kinds, count, rng)
    pool = tasks.posed(kinds)
    if config.reference_tasks == "learnable":
        pool = [posed for posed in pool if is_learnable(posed.accuracy)] or pool
    recent = config.reference_choice == "recent"
    return weighted_sample(pool, [posed.step + 1 if recent else 1 for posed in pool], count, rng)


def is_learnable(accuracy: float | None) -> bool:
    """Whether a task was priced and solved sometimes, not always."""
    return accuracy is not None and 0.0 < accuracy < 1.0


def weighted_sample(
    pool: list[Posed], weights: list[int], count: int, rng: random.Random
) -> list[Task]:
    """Up to `count` different tasks, each drawn by its weight among those that are left."""
    sums = list(accumulate(weights))
    chosen: dict[int, Task] = {}
    if count >= len(pool):
        return [posed.task for posed in rng.sample(pool, len(pool))]
    while len(chosen) < count:
        (place,) = rng.choices(range(len(pool)), cum_weights=sums)
        chosen.setdefault(place, pool[place].task)
    return list(chosen.values())


def _perhaps_composite(
    source: Source, tasks: Tasks, rng: random.Random, config: GameConfig
) -> Source:
    """The source, or by the share of the step one with programs that must be called."""
    share = composite_share(tasks.step, config) if source.kind in SEED_KINDS else 0.0
    if not share or rng.random() >= share:
        return source
    given = draw_given(tasks, rng, config)
    return CompositeSource(source.kind, source.references, source.seed, given) if given else source
