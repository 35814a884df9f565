"""Who learns in a step and what is sampled for it.

Both follow from the config and the number of the step alone, so that a run that is resumed in the
middle of any phase goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from azr_fast.config.roles import ScheduleConfig
from azr_fast.config.schema import Config, PlayConfig
from azr_fast.errors import UserError
from azr_fast.games.game import Game
from azr_fast.types import Episode, Family, Role, Task

LEARNERS: dict[str, set[Role]] = {
    "joint": set(Role),
    "proposer": {Role.PROPOSER},
    "pool": set(),
    "solver": {Role.SOLVER},
}


@dataclass(frozen=True, slots=True)
class Phase:
    """What a step is for. `play` says how much is sampled in it."""

    name: str  # "joint", or in an iteration "proposer", "pool" or "solver"
    learners: frozenset[Role]
    play: PlayConfig
    steps: int  # of the phase
    place: int = 0  # of the step in the phase, from 0
    iteration: int = 0  # from 1; 0 without iterations

    @property
    def fills_pool(self) -> bool:
        """Whether tasks are chosen for the iteration's pool."""
        return self.name == "pool"

    @property
    def draws_from_pool(self) -> bool:
        """Whether the tasks to solve are those of the iteration's pool."""
        return self.name == "solver"

    def select(self, families: Sequence[Family]) -> list[Episode]:
        """The episodes that are learnt from now: of those who learn, all that did not fail, less
        solutions that priced where `play.train_on_priced_answers` is off."""
        return [
            one
            for family in families
            for one in family.episodes
            if one.role in self.learners and one.length and not one.failed
            if one is family.proposal or not family.proposal or self.play.train_on_priced_answers
        ]

    def announcement(self, pool: int | None) -> str:
        """What people are told when it begins, given how many tasks a pool has that it uses."""
        text = f"iteration {self.iteration}, {self.name}: {self.steps} steps"
        if pool == 0:
            return (
                f"{text} that learn nothing: no task of the pool lies in the band; widen "
                "schedule.band_low and schedule.band_high, or raise schedule.pool_proposals"
            )
        return f"{text} on a pool of {pool} tasks" if pool else text

    def facts(self, pool: Mapping[str, int]) -> dict[str, Any]:
        """What the metrics tell of it, with the tasks of its pool by type."""
        named: dict[str, Any] = {"name": self.name}
        return named | ({"iteration": self.iteration, "pool": pool} if self.iteration else {})


class Schedule(Protocol):
    """Says what every step of a run is for."""

    steps: int  # of the run
    phases: Sequence[Phase]  # in their order, each as of its first step

    def phase(self, step: int) -> Phase:
        """What `step` is for; steps count from 1."""


class Joint(Schedule):
    """Every step poses tasks, prices and solves them, and all roles learn (arXiv 2505.03335)."""

    def __init__(self, config: Config) -> None:
        self.steps = config.run.steps
        self.phases = [_phase("joint", config.play, self.steps)]

    def phase(self, step: int) -> Phase:
        """The same for every step."""
        return self.phases[0]


class Alternate(Schedule):
    """Iterations of three phases (Agent0, arXiv 2511.16043, section 3; R-Zero, arXiv 2508.05004).

    The proposer learns, priced by a solver that does not; then both rest while a pool of tasks of
    middling difficulty is chosen; then the solver learns from the pool. A role that does not learn
    has no phase, and without solver steps there is no pool.
    """

    def __init__(self, config: Config) -> None:
        keys, play = config.schedule, config.play
        posing = play.model_copy(update={"solves": 0})
        pool = posing.model_copy(update={"proposals": keys.pool_proposals})
        solving = play.model_copy(update={"proposals": 0})
        proposer = _phase("proposer", posing, keys.proposer_steps)
        solver = _phase("solver", solving, keys.solver_steps)
        pool_steps = keys.pool_steps if solver.learners and solver.steps else 0
        phases = [proposer, _phase("pool", pool, pool_steps), solver]
        self.phases = [one for one in phases if one.steps and (one.learners or one.fills_pool)]
        self._length = sum(phase.steps for phase in self.phases)
        self.steps = min(config.run.steps, keys.iterations * self._length)

    def phase(self, step: int) -> Phase:
        """The phase in which the step falls, by its place in its iteration."""
        iterations, place = divmod(step - 1, self._length)
        for phase in self.phases:
            if place < phase.steps:
                return replace(phase, place=place, iteration=iterations + 1)
            place -= phase.steps
        raise AssertionError("the place of a step is below the length of an iteration")


def open_schedule(config: Config) -> Schedule:
    """The schedule that the config names. Raises UserError when nobody would learn in it."""
    joint = config.schedule.name == "joint"
    schedule: Schedule = Joint(config) if joint else Alternate(config)
    if not any(phase.learners for phase in schedule.phases):
        raise UserError(
            "nobody would learn: play.learners names no role that has something to learn from; add "
            "the other role, or raise play.proposals, schedule.proposer_steps or "
            "schedule.solver_steps"
        )
    return schedule


def _phase(name: str, play: PlayConfig, steps: int) -> Phase:
    """A phase in which those learn of LEARNERS whom the config lets learn; not from proposals where
    there are none."""
    posing = set(Role) if play.proposals else {Role.SOLVER}
    learners = {Role(role) for role in play.learners} & LEARNERS[name] & posing
    return Phase(name, frozenset(learners), play, steps)


def pooled(family: Family, game: Game, keys: ScheduleConfig) -> Task | None:
    """A family's task as the pool keeps it, with its label and its rate; None where that lies
    outside of the band, or no solution came to a verdict."""
    if family.task is None or all(one.failed for one in family.solves):
        return None
    rate = game.rate(family)
    in_band = keys.band_low <= rate <= keys.band_high
    return replace(game.label(family), rate=rate) if in_band else None
