"""Plays the phase of a step, each role with its weights."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from azr_fast.config.schema import Config
from azr_fast.games.game import Game
from azr_fast.observe.progress import Observer
from azr_fast.policy.policy import Policy
from azr_fast.rollout.engine import Engine
from azr_fast.rollout.episodes import Episodes
from azr_fast.sandbox.client import Client
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.journal import StepRecord
from azr_fast.selfplay.play import Round
from azr_fast.selfplay.policies import Policies
from azr_fast.selfplay.schedule import Phase
from azr_fast.types import Family, Role

if TYPE_CHECKING:
    from azr_fast.evaluate.training import Scorer

Talk = Coroutine[Any, Any, list[Family]]


@dataclass(slots=True)
class Parts:
    """What a trainer is assembled from. Roles that share weights have one policy; the engine holds
    the solver's weights."""

    game: Game
    buffer: TaskBuffer
    policies: Mapping[Role, Policy]
    engine: Engine
    episodes: Episodes
    sandbox: Client | None = None  # where the game runs programs
    scorer: Scorer | None = None


class Player:
    """Proposes, prices and solves."""

    def __init__(
        self, config: Config, parts: Parts, policies: Policies, observer: Observer
    ) -> None:
        self._config = config
        self._game = parts.game
        self._buffer = parts.buffer
        self._episodes = parts.episodes
        self._policies = policies
        self._observer = observer

    def play(self, phase: Phase, record: StepRecord) -> list[Family]:
        """Propose, price and solve, each with the weights of the role that speaks. Where the roles
        share weights, and tasks are posed, all of it goes on at once."""
        round_ = self._round(phase, record.step)
        if not phase.play.proposals:
            return self._speak(Role.SOLVER, partial(round_.solve, []), record)
        if self._policies.shared:
            return self._speak(Role.PROPOSER, round_.play, record)
        posed = self._speak(Role.PROPOSER, round_.propose, record)
        return self._speak(Role.SOLVER, partial(round_.solve, posed), record)

    def _round(self, phase: Phase, step: int) -> Round:
        """The round of play that a phase asks for."""
        config = self._config.model_copy(update={"play": phase.play})
        pool = phase.iteration if phase.draws_from_pool else None
        return Round(
            *(self._game, self._buffer, self._episodes, config, step),
            pool=pool,
            place=phase.place,
            versions={role: policy.steps for role, policy in self._policies.of_role.items()},
        )

    def _speak(self, role: Role, talk: Callable[[], Talk], record: StepRecord) -> list[Family]:
        """Let episodes be played with the weights of a role."""
        self.sync(role)
        record.lap("sync")
        self._observer.phase("play", None)
        families = self._episodes.decoder.run(talk())
        record.add(self._episodes.decoder.stats)
        record.lap("play")
        return families

    def sync(self, role: Role) -> None:
        """Give the engine the weights of a role, if it lacks them. Raises ParityError."""
        if not self._policies.speaks(role):
            self._observer.phase("sync", None)
            self._policies.let_speak(role)
