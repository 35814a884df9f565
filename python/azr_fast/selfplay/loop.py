"""The loop of Absolute Zero (arXiv 2505.03335, Algorithm 1), whatever the game."""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from azr_fast.algorithms import open_algorithm
from azr_fast.config.schema import Config
from azr_fast.errors import NotFinite, UserError
from azr_fast.observe.files import read_lines
from azr_fast.observe.progress import Observer
from azr_fast.observe.runfolder import RunFolder
from azr_fast.policy.checkpoint import MODEL_FOLDER
from azr_fast.rollout.decoder import Interrupted
from azr_fast.rollout.engine import EngineDied
from azr_fast.sandbox.client import SandboxLost
from azr_fast.selfplay.guard import Guard, fruitless, warning
from azr_fast.selfplay.journal import Journal, StepRecord
from azr_fast.selfplay.learner import Learner
from azr_fast.selfplay.lessons import check_rewards
from azr_fast.selfplay.monitor import Monitor
from azr_fast.selfplay.player import Parts, Player
from azr_fast.selfplay.policies import Policies
from azr_fast.selfplay.recovery import play_whole, restart_engine
from azr_fast.selfplay.saving import STATE_FILE, Checkpoints
from azr_fast.selfplay.schedule import Phase, open_schedule, pooled
from azr_fast.selfplay.seeding import seed_buffers
from azr_fast.types import Episode, Family, Role

NOTHING_BETTER = "eval.patience evaluations brought no better score"


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
        self.sandbox = parts.sandbox
        self.scorer = parts.scorer
        self.run = run
        self.observer = observer
        self.should_stop = should_stop
        self.schedule = open_schedule(config)
        self.journal = Journal(run, observer, config)
        self.algorithm = open_algorithm(config.advantage)
        self.player = Player(config, parts, self.policies, observer)
        self.learner = Learner(config, self.algorithm, self.policies, self._show_update)
        self.guard = Guard()
        self.monitor = Monitor(config)
        self.checkpoints = Checkpoints(run, observer.note)
        self.done = 0  # steps that are whole
        self.intact = True  # whether the policies are those after these steps

    def train(self) -> None:
        """Steps until the run's length, its time limit or a request to stop; then a checkpoint.

        Whatever else ends the run leaves a checkpoint of the last whole step, too.
        """
        try:
            self.until_stopped()
            self.save()
            self.checkpoints.wait()
        except NotFinite as error:  # nothing is saved over what was good
            raise UserError(f"{error} since step {self.done}: {self._from_before()}") from error
        except Exception:
            with suppress(UserError, NotFinite, OSError, sqlite3.Error):
                self.save()  # of the two faults the first is to be told
                self.checkpoints.wait()
            raise

    def until_stopped(self) -> None:
        """Make all steps, or those until the time is up or somebody asks the run to stop."""
        try:
            self.begin()
            if not self.done:
                self.evaluated(0)
            self.steps()
        except Interrupted:
            self.observer.note("stopped: the unfinished step is played again on --resume")

    def _from_before(self) -> str:
        """What to do about a ruined model."""
        self.checkpoints.wait()
        saved = self.run.latest_checkpoint()
        if not saved:
            return "start a new run with a lower update.lr"
        start, run = "start a new run with a lower update.lr, from --model.name", self.run.path
        if self.config.roles.adapters:
            return f"{start} DIR after azr-fast export {shlex.quote(str(run))} DIR"
        return f"{start} {shlex.quote(str(self.run.checkpoint(saved) / MODEL_FOLDER))}"

    def steps(self) -> None:
        """Make step after step, with a checkpoint now and then."""
        while self.done < self.schedule.steps and not self.should_stop():
            if self.scorer and self.scorer.exhausted:
                self.observer.note(f"stopped after step {self.done}: {NOTHING_BETTER}")
                break
            self.attempt(self.done + 1)
            self.checkpoints.check()
            if self.done % self.config.run.checkpoint_every == 0:
                self.save()

    def begin(self) -> None:
        """Go on from the newest checkpoint, or seed the buffers."""
        step = self.run.latest_checkpoint()
        self.journal.open()
        if step is None:
            play_whole("the seeding", self.seed, self.mend, self.observer.note)
        else:
            self.restore(step)

    def seed(self) -> None:
        """Fill the buffers with the untrained model; a checkpoint without a model keeps them."""
        self.observer.phase("seed", None)
        mark = self.buffer.watermark()
        try:
            self.player.sync(Role.PROPOSER)
            seed_buffers(self.game, self.buffer, self.episodes, self.config, self._show_seeds)
        except Interrupted:  # what there is then is of use to `azr-fast seed`
            raise
        except BaseException:
            self.buffer.rewind(mark)
            raise
        self.checkpoints.write(0, self._state(), None)

    def attempt(self, step: int) -> None:
        """Play a step, and play it again where something died or what the engine says is wrong."""
        play_whole(f"step {step}", lambda: self.step(step), self.mend, self.observer.note)

    def mend(self, failure: Exception) -> None:
        """Start anew what died; the engine gets the weights again. Raises the failure where weights
        have moved already: the step cannot be played again then."""
        if not self.intact:
            raise failure
        self.policies.forget_speaker()
        if isinstance(failure, EngineDied):
            self.checkpoints.wait()  # the model may come from the newest
            restart_engine(self.engine, self.run)
        if isinstance(failure, SandboxLost) and self.sandbox:
            self.sandbox.restart()

    def step(self, step: int) -> None:
        """Play, score, learn: what the step's phase has of it."""
        phase, record = self.schedule.phase(step), StepRecord(step, self.schedule.steps)
        self.announce(phase)
        with self.whole_or_nothing():
            self.game.verification()  # what ran before is not of this step
            families = self.player.play(phase, record)  # propose ─► check ─► price and solve
            self.score(families, record)
            self.keep(phase, families, step)
            batch = phase.select(families)
            self.learner.credit(phase, batch)
            self.learn(phase, batch, record)
        record.scores = self.evaluated(step)
        record.lap("eval")
        line = self.report(phase, record, families, batch)
        self.done, self.intact = step, True
        self.watch(phase, record, families, line)

    @contextmanager
    def whole_or_nothing(self) -> Iterator[None]:
        """A step that fails leaves tasks, baselines and weights as they were. Where weights had
        moved already `intact` stays false, so that nothing is saved over what was good."""
        mark, learnt = self.buffer.watermark(), self.algorithm.state()
        moves, self.intact = self.policies.moves(), False
        try:
            yield
        except BaseException:
            self.intact = self.policies.moves() == moves
            self.buffer.rewind(mark)
            self.algorithm.restore(learnt)
            raise

    def score(self, families: Sequence[Family], record: StepRecord) -> None:
        """Rewards of all episodes, and what the game tells of them. Raises UserError for a reward
        that is no number."""
        self.game.score(families)
        check_rewards(families)
        record.verification = self.game.verification()

    def keep(self, phase: Phase, families: Sequence[Family], step: int) -> None:
        """Store the tasks that families give rise to, and those that a pool takes."""
        for family in families:
            for task in self.game.follow_ups(family):
                self.buffer.add(task, step, family.episodes[0])
            if phase.fills_pool and (chosen := pooled(family, self.game, self.config.schedule)):
                self.buffer.choose(chosen, phase.iteration)
        self.buffer.record_solves(families, step)

    def learn(self, phase: Phase, batch: Sequence[Episode], record: StepRecord) -> None:
        """Update the policies that learn now. Raises ParityError, and no weight has moved then."""
        self.observer.phase("update", None)
        if self.engine.rest():
            self.policies.forget_speaker()
        self.learner.learn(phase, batch, record)
        record.lap("update")

    def evaluated(self, step: int) -> dict[str, float]:
        """Scores of the weights after a step, if they are due."""
        if not self.scorer:
            return {}
        return self.scorer.after(step, lambda: self.player.sync(Role.SOLVER), self.observer)

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
    ) -> dict[str, Any]:
        """Write the step down; returns its line of the metrics."""
        episodes = [episode for family in families for episode in family.episodes]
        if update := record.update:
            record.fruitless = fruitless(episodes, update)
        record.phase = phase.facts(self._pool_counts(phase))
        return self.journal.write(record, episodes, batch, self._buffer_counts())

    def watch(
        self,
        phase: Phase,
        record: StepRecord,
        families: Sequence[Family],
        line: Mapping[str, Any],
    ) -> None:
        """Say what is wrong with a step. Raises UserError where the run should stop for it."""
        if told := warning([episode for family in families for episode in family.episodes]):
            self.observer.note(told)
        if phase.learners and (families or not phase.draws_from_pool):  # an empty pool ends no run
            self.guard.after(record.fruitless)
        self.monitor.after(line, self.observer.note)
        if self.scorer:
            self.scorer.take(line)

    def _pool_counts(self, phase: Phase) -> dict[str, int]:
        """Tasks in the pool of the phase's iteration, by type."""
        kinds = self.game.kinds if phase.iteration else ()
        return {kind: len(self.buffer.pool(kind, phase.iteration)) for kind in kinds}

    def save(self) -> None:
        """Write a checkpoint of the last whole step, unless it is there already.

        Raises NotFinite, and writes none, when the model's numbers are not finite.
        """
        if not self.done or self.checkpoints.newest == self.done or not self.intact:
            return
        for policy in self.policies.roles():
            policy.check_finite()
        self.observer.phase("checkpoint", None)
        self.checkpoints.write(self.done, self._state(), self.policies.snapshots())

    def _state(self) -> dict[str, Any]:
        """What a checkpoint holds beside the policy; the tasks it names are on the disk."""
        return {
            "step": self.done,
            "watermark": self.buffer.watermark(),
            "algorithm": self.algorithm.state(),
        }

    def restore(self, step: int) -> None:
        """Take up the state after `step` updates; after none the model is the untrained one."""
        self.observer.phase("restore", None)
        folder = self.run.checkpoint(step)
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        self.buffer.rewind(state["watermark"])
        self.algorithm.restore(state.get("algorithm", {}))  # older runs have none
        if step:
            self.policies.load(folder)
        self.done = step
        self.checkpoints.found(step)
        lines = list(read_lines(self.run.metrics))
        self.guard.recall(bool(line.get("fruitless")) for line in lines)
        self.monitor.recall(lines)
        if self.scorer:
            self.scorer.recall(lines)

    def _buffer_counts(self) -> dict[str, int]:
        return {kind: self.buffer.count(kind) for kind in self.game.kinds}

    def _show_update(self, done: int, total: int) -> None:
        self.observer.advance(done, total, "tokens")

    def _show_seeds(self, families: Sequence[Family]) -> None:
        counts = ", ".join(f"{count} {kind}" for kind, count in self._buffer_counts().items())
        valid = sum(1 for family in families if family.task)
        self.observer.note(f"seeds: {valid} of {len(families)} proposals valid; buffers: {counts}")
