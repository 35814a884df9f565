"""Filling the buffers before the first update (arXiv 2505.03335, section 3.3.1)."""

from __future__ import annotations

import itertools
import logging
from asyncio import gather
from collections import Counter
from collections.abc import Callable, Sequence

from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.games.game import Game
from azr_fast.rollout.episodes import Episodes
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.play import Round
from azr_fast.selfplay.taskfile import read_tasks
from azr_fast.types import Family, Task

log = logging.getLogger(__name__)


def plant(game: Game, buffer: TaskBuffer) -> None:
    """Put the tasks that need no model into the buffers."""
    for task in game.first_tasks():
        buffer.add(task, 0)


def seed_buffers(
    game: Game,
    buffer: TaskBuffer,
    episodes: Episodes,
    config: Config,
    on_batch: Callable[[Sequence[Family]], None],
) -> None:
    """Propose with the untrained model until every type has `seeding.tasks`, or was asked for
    `seeding.proposals`.

    One type after the other, since later types may build on the tasks of earlier ones. Seeds are
    step 0 of the run. References are drawn from the growing buffers. No clock is looked at, so that
    equal configs give equal seeds on an engine that repeats a step.
    """
    plant(game, buffer)
    if config.seeding.file:
        for task in episodes.decoder.run(verified(game, config.seeding.file)):
            buffer.add(task, 0)
    turn = itertools.count()
    for kind in game.kinds:
        left = config.seeding.proposals
        while buffer.count(kind) < config.seeding.tasks and left:
            count = min(config.seeding.batch, left)
            seed_round = Round(game, buffer, episodes, config, step=0, turn=next(turn))
            on_batch(episodes.decoder.run(seed_round.seed([kind], count)))
            left -= count


async def verified(game: Game, file: str) -> list[Task]:
    """The tasks of a file as the game finds them when it checks them, in the file's order.

    Tasks of types that are not played and tasks that fail their check are left out, and the log
    says how many. Raises UserError, which names the file, when none is left.
    """
    tasks = read_tasks(file)
    verdicts = await gather(*(game.verify(task) for task in tasks if task.kind in game.kinds))
    found = [verdict.task for verdict in verdicts if verdict.task]
    faults = Counter(verdict.code for verdict in verdicts if not verdict.task)
    faults["not_played"] = len(tasks) - len(verdicts)
    told = ", ".join(f"{code} {count}" for code, count in faults.most_common() if count)
    if not found:
        raise UserError(f"seeding.file {file}: none of its {len(tasks)} tasks holds ({told})")
    log.info("%s: %d of %d tasks hold%s", file, len(found), len(tasks), told and f" ({told})")
    return found
