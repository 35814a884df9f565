"""The loop of Absolute Zero (arXiv 2505.03335, Algorithm 1), whatever the game."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from azr_fast.algorithms import open_algorithm
from azr_fast.config.schema import Config
from azr_fast.errors import NotFinite, UserError
from azr_fast.games.game import Game
from azr_fast.observe.progress import Observer
from azr_fast.observe.runfolder import RunFolder
from azr_fast.policy.checkpoint import prune_checkpoints, write_checkpoint
from azr_fast.policy.policy import MODEL_FOLDER, Policy
from azr_fast.rollout.decoder import Interrupted
from azr_fast.rollout.engine import Engine
from azr_fast.rollout.episodes import Episodes
from azr_fast.rollout.parity import ParityError
from azr_fast.selfplay.buffer import BUFFERS, TaskBuffer
from azr_fast.selfplay.guard import Guard, fruitless, warning
from azr_fast.selfplay.journal import Journal, StepRecord
from azr_fast.selfplay.learner import Learner
from azr_fast.selfplay.lessons import check_rewards
from azr_fast.selfplay.play import Round
from azr_fast.selfplay.policies import Policies
from azr_fast.selfplay.schedule import Phase, open_schedule, pooled
from azr_fast.selfplay.seeding import seed_buffers
from azr_fast.types import Episode, Family, Role

Talk = Coroutine[Any, Any, list[Family]]
STATE_FILE = "state.json"  # in a checkpoint: the step, and how far the task buffers had got


@dataclass(slots=True)
class Parts:
    """What a trainer is assembled from. Roles that share weights have one policy; the engine holds
    the solver's weights."""

    game: Game
    buffer: TaskBuffer
    policies: Mapping[Role, Policy]
    engine: Engine
    episodes: Episodes


class Trainer:
    """Plays a game against itself and learns from it."""

    def __init__(
        self,
        config: Config,
        parts: Parts,
        run: RunFolder,
        observer: Observer,
        should_stop: Callable[[], bool],
    ) -> None:
        self.config = config
        self.game = parts.game
        self.buffer = parts.buffer
        self.policy = parts.policies[Role.SOLVER]  # the run's product
        self.policies = Policies(parts.policies, parts.engine)
        self.engine = parts.engine
        self.episodes = parts.episodes
        self.run = run
        self.observer = observer
        self.should_stop = should_stop
        self.schedule = open_schedule(config)
        self.journal = Journal(run, observer, config)
        self.algorithm = open_algorithm(config.advantage)
        self.learner = Learner(config, self.algorithm, self.policies, self._show_update)
        self.guard = Guard()
        self.done = 0  # steps that are whole
        self.whole = True  # whether the policies are those of these steps
        self.saved: int | None = None  # the step of the newest checkpoint

    def train(self) -> None:
        """Steps until the run's length, its time limit or a request to stop; then a checkpoint.

        Whatever else ends the run leaves a checkpoint of the last whole step, too.
        """
        started = time.monotonic()
        try:
            self.begin()
            self.steps(started)
        except Interrupted:
            self.observer.note("stopped: the unfinished step is played again on --resume")
        except NotFinite as error:  # nothing is saved over what was good
            raise UserError(f"{error} since step {self.done}: {self._from_before()}") from error
        except Exception:
            with suppress(UserError, NotFinite):  # of the two faults the first is to be told
                self.save()
            raise
        self.save()

    def _from_before(self) -> str:
        """What to do about a ruined model."""
        if not self.saved:
            return "start a new run with a lower update.lr"
        good = self.run.checkpoint(self.saved) / MODEL_FOLDER
        return f"start a new run with a lower update.lr, from --model.name {good}"

    def steps(self, started: float) -> None:
        """Step after step, with a checkpoint now and then. `started` is when the run's time limit
        began, by time.monotonic()."""
        limit = self.config.run.time_limit_minutes * 60 or float("inf")
        while self.done < self.schedule.steps and not self.should_stop():
            if time.monotonic() - started >= limit:
                break
            self.attempt(self.done + 1)
            if self.done % self.config.run.checkpoint_every == 0:
                self.save()

    def begin(self) -> None:
        """Go on from the newest checkpoint, or seed the buffers."""
        step = self.run.latest_checkpoint()
        self.journal.open()
        if step is None:
            self.seed()
        else:
            self.restore(step)

    def seed(self) -> None:
        """Fill the buffers with the untrained model; a checkpoint without a model keeps them."""
        self.sync(Role.PROPOSER)
        self.observer.phase("seed", None)
        seed_buffers(self.game, self.buffer, self.episodes, self.config, self._show_seeds)
        self.write(0, self._write_tasks)

    def attempt(self, step: int) -> None:
        """A step; once more, with the weights sent anew, where what the engine says is wrong."""
        try:
            self.step(step)
        except (ParityError, NotFinite) as alarm:
            if not self.whole:  # weights have moved: the step cannot be played again
                raise
            self.observer.note(f"{alarm}: sending the weights again, playing step {step} again")
            self.policies.forget_speaker()
            self.step(step)

    def step(self, step: int) -> None:
        """Play, score, learn: what the step's phase has of it."""
        phase, record = self.schedule.phase(step), StepRecord(step)
        self.announce(phase)
        with self.whole_or_nothing():
            families = self.play(phase, record)  # propose ─► check ─► price and solve
            self.score(families)
            self.keep(phase, families, step)
            batch = phase.select(families)
            self.learner.credit(phase, batch)
            self.learn(phase, batch, record)
        self.report(phase, record, families, batch)
        self.done, self.whole = step, True
        if phase.learners and (families or not phase.draws_from_pool):  # an empty pool ends no run
            self.guard.after(record.fruitless)

    @contextmanager
    def whole_or_nothing(self) -> Iterator[None]:
        """A step that fails leaves tasks, baselines and weights as they were. Where weights had
        moved already `whole` stays false, so that nothing is saved over what was good."""
        mark, learnt = self.buffer.watermark(), self.algorithm.state()
        moves, self.whole = self.policies.moves(), False
        try:
            yield
        except BaseException:
            self.whole = self.policies.moves() == moves
            self.buffer.rewind(mark)
            self.algorithm.restore(learnt)
            raise

    def play(self, phase: Phase, record: StepRecord) -> list[Family]:
        """Propose, price and solve, each with the weights of the role that speaks. Where the roles
        share weights, and tasks are posed, all of it goes on at once."""
        round_ = self.round(phase, record.step)
        if not phase.play.proposals:
            return self.speak(Role.SOLVER, partial(round_.solve, []), record)
        if self.policies.shared:
            return self.speak(Role.PROPOSER, round_.play, record)
        posed = self.speak(Role.PROPOSER, round_.propose, record)
        return self.speak(Role.SOLVER, partial(round_.solve, posed), record)

    def round(self, phase: Phase, step: int) -> Round:
        """The round of play that a phase asks for."""
        config = self.config.model_copy(update={"play": phase.play})
        pool = phase.iteration if phase.draws_from_pool else BUFFERS
        return Round(
            self.game, self.buffer, self.episodes, config, step, pool=pool, place=phase.place
        )

    def speak(
        self, role: Role, talk: Callable[[], Talk], record: StepRecord
    ) -> list[Family]:
        """Let episodes be played with the weights of a role."""
        self.sync(role)
        record.lap("sync")
        self.observer.phase("play", None)
        families = self.episodes.decoder.run(talk())
        record.add(self.episodes.decoder.stats)
        record.lap("play")
        return families

    def sync(self, role: Role) -> None:
        """Give the engine the weights of a role, if it lacks them. Raises ParityError."""
        if not self.policies.speaks(role):
            self.observer.phase("sync", None)
            self.policies.let_speak(role)

    def score(self, families: Sequence[Family]) -> None:
        """Rewards of all episodes. Raises UserError for one that is no number."""
        self.game.score(families)
        check_rewards(families)

    def keep(self, phase: Phase, families: Sequence[Family], step: int) -> None:
        """Store the tasks that families give rise to, and those that a pool takes."""
        for family in families:
            for task in self.game.follow_ups(family):
                self.buffer.add(task, step)
            if phase.fills_pool and (chosen := pooled(family, self.game, self.config.schedule)):
                self.buffer.add(chosen, step, phase.iteration)

    def learn(self, phase: Phase, batch: Sequence[Episode], record: StepRecord) -> None:
        """Update the policies that learn now. Raises ParityError, and no weight has moved then."""
        self.observer.phase("update", None)
        record.verification = self.game.verification()
        self.learner.learn(phase, batch, record)
        record.lap("update")

    def announce(self, phase: Phase) -> None:
        """Say what begins, where the run has phases."""
        if phase.iteration and not phase.place:
            pool = sum(self._pool_counts(phase).values()) if phase.draws_from_pool else None
            self.observer.note(phase.announcement(pool))

    def report(
        self,
        phase: Phase,
        record: StepRecord,
        families: Sequence[Family],
        batch: Sequence[Episode],
    ) -> None:
        """Write the step down, and say what is wrong with it."""
        episodes = [episode for family in families for episode in family.episodes]
        if update := record.update:
            record.fruitless = fruitless(episodes, update)
        record.phase = phase.facts(self._pool_counts(phase))
        self.journal.write(record, episodes, batch, self._buffer_counts())
        if told := warning(episodes):
            self.observer.note(told)

    def _pool_counts(self, phase: Phase) -> dict[str, int]:
        """Tasks in the pool of the phase's iteration, by type."""
        kinds = self.game.kinds if phase.iteration else ()
        return {kind: len(self.buffer.pool(kind, phase.iteration)) for kind in kinds}

    def save(self) -> None:
        """Write a checkpoint of the last whole step, unless it is there already.

        Raises NotFinite, and writes none, when the model's numbers are not finite.
        """
        if not self.done or self.saved == self.done or not self.whole:
            return
        for policy in self.policies.roles():
            policy.check_finite()
        self.observer.phase("checkpoint", None)
        self.write(self.done, self._write_all)

    def write(self, step: int, content: Callable[[Path], None]) -> None:
        """Write the checkpoint of a step; old ones make room for it."""
        folder = self.run.checkpoint(step)
        write_checkpoint(folder, content)
        prune_checkpoints(folder.parent, self.config.run.keep_checkpoints)
        self.saved = step

    def _write_tasks(self, folder: Path) -> None:
        state = {
            "step": self.done,
            "watermark": self.buffer.watermark(),
            "algorithm": self.algorithm.state(),
        }
        (folder / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")

    def _write_all(self, folder: Path) -> None:
        self._write_tasks(folder)
        for policy, place in self.policies.folders(folder):
            policy.save(place)

    def restore(self, step: int) -> None:
        """Take up the state after `step` updates; after none the model is the untrained one."""
        self.observer.phase("restore", None)
        folder = self.run.checkpoint(step)
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        self.buffer.rewind(state["watermark"])
        self.algorithm.restore(state.get("algorithm", {}))  # older runs have none
        if step:
            for policy, place in self.policies.folders(folder):
                policy.load(place)
            self.policies.forget_speaker()
        self.done = self.saved = step

    def _buffer_counts(self) -> dict[str, int]:
        return {kind: self.buffer.count(kind) for kind in self.game.kinds}

    def _show_update(self, done: int, total: int) -> None:
        self.observer.advance(done, total, "tokens")

    def _show_seeds(self, families: Sequence[Family]) -> None:
        counts = ", ".join(f"{count} {kind}" for kind, count in self._buffer_counts().items())
        valid = sum(1 for family in families if family.task)
        self.observer.note(f"seeds: {valid} of {len(families)} proposals valid; buffers: {counts}")
