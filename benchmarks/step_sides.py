"""Two ways through the same step: ours, and the reference implementation's.

The reference's way has our engine, sandbox, packing and head, and four habits of its own: task
types are played one after the other, the answers that price a proposal are thrown away and its
task is solved anew, log-probs of the old policy are computed in a pass of their own before the
update, and distances between programs are computed while everything else waits.
"""

from __future__ import annotations

import ast
import difflib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from azr_fast.config.schema import Config
from azr_fast.games.game import Game
from azr_fast.observe.progress import Observer
from azr_fast.observe.runfolder import RunFolder
from azr_fast.policy.packing import Pack, TrainSequence, make_packs
from azr_fast.policy.policy import Policy
from azr_fast.policy.stats import UpdateStats
from azr_fast.rollout.engine import Completion, Engine, Request
from azr_fast.selfplay.journal import StepRecord
from azr_fast.selfplay.loop import Trainer
from azr_fast.selfplay.player import Parts, Player
from azr_fast.selfplay.schedule import Phase
from azr_fast.types import Family, Role


class CountedEngine:
    """An engine that counts its passes over the weights and keeps the lengths of its answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.passes = 0
        self.answers: list[tuple[int, int]] = []  # tokens of prompt and answer
        self._prompts: dict[tuple[int, ...], int] = {}

    def submit(self, request: Request) -> None:
        """Queue a generation."""
        self._prompts[request.id] = len(request.prompt_ids)
        self._engine.submit(request)

    def poll(self) -> list[Completion]:
        """One pass over the weights, if anything is queued."""
        before = self._engine.generated_tokens()
        done = self._engine.poll()
        self.passes += self._engine.generated_tokens() > before
        self.answers += [(self._prompts.pop(one.id), len(one.token_ids)) for one in done]
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


class WatchedPolicy:
    """A policy that keeps the batch of its last update, and may score each batch first."""

    def __init__(self, policy: Policy, scores_first: bool) -> None:
        self._policy, self._scores_first = policy, scores_first
        self.batch: Sequence[TrainSequence] = ()
        self.scoring_s = 0.0

    def update(self, batch: Sequence[TrainSequence], *more: Any) -> UpdateStats:
        """As the policy does it; the old log-probs of the reference are what was sampled anyway."""
        self.batch = batch
        if self._scores_first:
            since = time.perf_counter()
            self._policy.answer_logprobs(batch)
            self.scoring_s += time.perf_counter() - since
        return self._policy.update(batch, *more)

    def packs(self) -> list[Pack]:
        """Those of the last update: answers that cannot move the weights are in none."""
        steering = [one for one in self.batch if self._policy._steers(one)]
        return make_packs(steering, self._policy._update.pack_tokens)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)


@dataclass
class OneKind:
    """A game of which one task type alone is played."""

    game: Game
    kinds: tuple[str, ...]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.game, name)


class ReferencePlayer(Player):
    """Plays one task type after the other, then computes the distances."""

    distances_s = 0.0

    def play(self, phase: Phase, record: StepRecord) -> list[Family]:
        """All families of the step."""
        families = []
        for turn, kind in enumerate(self._game.kinds):
            one, game = self._round(phase, record.step), OneKind(self._game, (kind,))
            one.game, one.turn = cast(Game, game), turn
            families += self._speak(Role.PROPOSER, one.play, record)
        since = time.perf_counter()
        for family in families:
            distances(family)
        self.distances_s += time.perf_counter() - since
        record.lap("play")
        return families


class ReferenceTrainer(Trainer):
    """Trains the reference's way; `play.train_on_priced_answers` is off."""

    def __init__(self, config: Config, parts: Parts, run: RunFolder, observer: Observer) -> None:
        super().__init__(config, parts, run, observer, lambda: False)
        self.player: ReferencePlayer = ReferencePlayer(config, parts, self.policies, observer)


def distances(family: Family) -> list[float]:
    """How unlike a valid proposal's program is those that it was shown, as ratios over the nodes of
    their syntax trees, by difflib: the quickest of the pure-Python ways."""
    if family.task is None or family.proposal is None or family.proposal.source is None:
        return []
    nodes = _nodes(family.task.payload)
    shown = [_nodes(task.payload) for task in family.proposal.source.references]
    return [1 - difflib.SequenceMatcher(None, nodes, other).ratio() for other in shown]


def _nodes(payload: Mapping[str, Any]) -> list[str]:
    program = str(payload["program"])
    return [type(node).__name__ for node in ast.walk(ast.parse(program))]
