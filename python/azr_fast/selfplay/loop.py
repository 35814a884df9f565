"""The loop of Absolute Zero (arXiv 2505.03335, Algorithm 1), whatever the game."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from azr_fast.algorithms import open_algorithm
from azr_fast.algorithms.weights import token_weights
from azr_fast.config.schema import Config
from azr_fast.errors import NotFinite, UserError
from azr_fast.games.game import Game
from azr_fast.observe.progress import Observer
from azr_fast.observe.runfolder import RunFolder
from azr_fast.policy.checkpoint import prune_checkpoints, write_checkpoint
from azr_fast.policy.packing import TrainSequence
from azr_fast.policy.policy import MODEL_FOLDER, Policy
from azr_fast.policy.stats import UpdateStats
from azr_fast.rollout.decoder import Interrupted
from azr_fast.rollout.engine import Engine
from azr_fast.rollout.episodes import Episodes
from azr_fast.rollout.parity import ParityError, check_gap, send_weights
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.entropy import entropy_shares, entropy_weights
from azr_fast.selfplay.guard import Guard, fruitless, warning
from azr_fast.selfplay.journal import Journal, StepRecord
from azr_fast.selfplay.play import Round
from azr_fast.selfplay.seeding import seed_buffers
from azr_fast.types import Episode, Family

STATE_FILE = "state.json"  # in a checkpoint: the step, and how far the task buffers had got


@dataclass(slots=True)
class Parts:
    """What a trainer is assembled from."""

    game: Game
    buffer: TaskBuffer
    policy: Policy
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
        self.policy = parts.policy
        self.engine = parts.engine
        self.episodes = parts.episodes
        self.run = run
        self.observer = observer
        self.should_stop = should_stop
        self.journal = Journal(run, observer, config)
        self.algorithm = open_algorithm(config.advantage)
        self.guard = Guard()
        self.synced = True  # whether the engine holds the policy's weights
        self.done = 0  # steps that are whole
        self.whole = True  # whether the policy is that of those steps
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
        while self.done < self.config.run.steps and not self.should_stop():
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
        self.observer.phase("seed", None)
        seed_buffers(self.game, self.buffer, self.episodes, self.config, self._show_seeds)
        self.write(0, self._write_tasks)

    def attempt(self, step: int) -> None:
        """A step; once more, with the weights sent anew, where what the engine says is wrong."""
        try:
            self.step(step)
        except (ParityError, NotFinite) as alarm:
            self.observer.note(f"{alarm}: sending the weights again, playing step {step} again")
            self.synced = False
            self.step(step)

    def step(self, step: int) -> None:
        """Sync, propose, solve, reward, learn: all of it, or nothing that stays."""
        mark, learnt = self.buffer.watermark(), self.algorithm.state()
        record = StepRecord(step)
        try:
            self.sync()
            record.lap("sync")
            families = self.play(step)
            record.lap("play")
            batch = self.credit(families)
            record.verification = self.game.verification()
            self.whole = False  # until the step has its line in the metrics
            record.update = self.update(batch, record)
            record.lap("update")
        except BaseException:
            self.whole = True
            self.buffer.rewind(mark)
            self.algorithm.restore(learnt)
            raise
        episodes = [episode for family in families for episode in family.episodes]
        record.fruitless = fruitless(episodes, record.update)
        stats = self.episodes.decoder.stats
        self.journal.write(record, episodes, batch, stats, self._buffer_counts())
        self.done, self.whole = step, True
        if told := warning(episodes):
            self.observer.note(told)
        self.guard.after(record.fruitless)

    def sync(self) -> None:
        """Give the engine the policy's weights, if it lacks them. Raises ParityError."""
        if not self.synced:
            self.observer.phase("sync", None)
            send_weights(self.engine, self.policy.named_weights)
            self.synced = True

    def play(self, step: int) -> list[Family]:
        """Propose ─► check ─► price and solve."""
        self.observer.phase("play", None)
        step_round = Round(self.game, self.buffer, self.episodes, self.config, step)
        families = self.episodes.decoder.run(step_round.play())
        for family in families:
            for task in self.game.follow_ups(family):
                self.buffer.add(task, step)
        return families

    def credit(self, families: Sequence[Family]) -> list[Episode]:
        """Rewards of all episodes; advantages of those that the update learns from, which are
        returned."""
        self.game.score(families)
        check_rewards(families)
        batch = [episode for family in families for episode in self.learnt(family)]
        advantages = self.algorithm.advantages(batch)
        for episode, advantage in zip(batch, advantages, strict=True):
            episode.advantage = advantage
        return batch

    def learnt(self, family: Family) -> list[Episode]:
        """The episodes that the update learns from: all that did not fail, or all but those that
        priced a proposal."""
        episodes = family.episodes
        if family.proposal and not self.config.play.train_on_priced_answers:
            episodes = [family.proposal]
        return [episode for episode in episodes if episode.length and not episode.failed]

    def update(self, batch: Sequence[Episode], record: StepRecord) -> UpdateStats:
        """One policy update on the whole batch."""
        config = self.config
        weights = entropy_weights(
            batch,
            token_weights(batch, config.advantage),
            config.update.entropy,
            f"{config.run.seed}/{record.step}",
        )
        record.entropy_shares = entropy_shares(batch, weights)
        sequences = [lesson(*pair) for pair in zip(batch, weights, strict=True)]
        self.observer.phase("update", None)
        if self.engine.rest():
            self.synced = False
        stats = self.policy.update(sequences, self._show_update, self._check_sampled)
        self.synced = self.synced and not stats.moved
        return stats

    def _check_sampled(self, stats: UpdateStats) -> None:
        """Before weights move: was the batch sampled from the policy? Raises ParityError."""
        check_gap(stats.logprob_gap, stats.gap_tokens, self.config)

    def save(self) -> None:
        """Write a checkpoint of the last whole step, unless it is there already.

        Raises NotFinite, and writes none, when the model's numbers are not finite.
        """
        if not self.done or self.saved == self.done or not self.whole:
            return
        self.policy.check_finite()
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
        self.policy.save(folder)

    def restore(self, step: int) -> None:
        """Take up the state after `step` updates; after none the model is the untrained one."""
        self.observer.phase("restore", None)
        folder = self.run.checkpoint(step)
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        self.buffer.rewind(state["watermark"])
        self.algorithm.restore(state.get("algorithm", {}))  # older runs have none
        if step:
            self.policy.load(folder)
            self.synced = False
        self.done = self.saved = step

    def _buffer_counts(self) -> dict[str, int]:
        return {kind: self.buffer.count(kind) for kind in self.game.kinds}

    def _show_update(self, done: int, total: int) -> None:
        self.observer.advance(done, total, "tokens")

    def _show_seeds(self, families: Sequence[Family]) -> None:
        counts = ", ".join(f"{count} {kind}" for kind, count in self._buffer_counts().items())
        valid = sum(1 for family in families if family.task)
        self.observer.note(f"seeds: {valid} of {len(families)} proposals valid; buffers: {counts}")


def lesson(episode: Episode, weight: float) -> TrainSequence:
    """What the update learns of an episode, each of whose sampled tokens weighs `weight`."""
    return TrainSequence(
        prompt_ids=episode.prompt_ids,
        response_ids=episode.response_ids,
        advantage=episode.advantage,
        weight=weight,
        behaviour_logprobs=episode.sampled_logprobs,
        sampled=episode.response_mask,
    )


def check_rewards(families: Sequence[Family]) -> None:
    """Raise UserError for a reward that is no number: the mistake of a game."""
    for family in families:
        for episode in family.episodes:
            if not isinstance(episode.reward, int | float) or not math.isfinite(episode.reward):
                raise UserError(
                    f"the game gave episode {episode.id} ({episode.kind}, {episode.role}) the "
                    f"reward {episode.reward!r}: mend its score()"
                )
