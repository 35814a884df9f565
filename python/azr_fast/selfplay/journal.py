"""What a step writes down: one line of metrics, a few answers, and what the observer shows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import compress
from statistics import fmean
from typing import Any

from azr_fast.config.schema import Config
from azr_fast.observe.metrics import MetricsLog, group_metrics, proposal_rates, solver_rates
from azr_fast.observe.progress import Observer
from azr_fast.observe.runfolder import RunFolder
from azr_fast.observe.samples import save_samples
from azr_fast.policy.memory import free_gib, memory_use
from azr_fast.policy.stats import UpdateStats, merged
from azr_fast.rollout.decoder import RolloutStats
from azr_fast.rollout.episodes import TOO_LONG
from azr_fast.selfplay.guard import Fruitless
from azr_fast.selfplay.monitor import repetition
from azr_fast.types import Episode, Role, Status


@dataclass(slots=True)
class StepRecord:
    """Facts of one step, gathered while it runs. Seconds are wall-clock, by phase."""

    step: int
    of: int  # steps that the run is to make
    phase: Mapping[str, Any] = field(default_factory=dict)
    updates: Mapping[str, UpdateStats] = field(default_factory=dict)  # by the roles of a policy
    fruitless: Fruitless | None = None
    entropy_shares: Mapping[str, float] = field(default_factory=dict)
    verification: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)  # on benchmarks
    seconds: dict[str, float] = field(default_factory=dict)
    sampled: int = 0  # tokens
    blocked: float = 0.0  # seconds of waiting for verdicts while nothing was left to decode
    _since: float = field(default_factory=time.monotonic)

    @property
    def update(self) -> UpdateStats | None:
        """What the updates of all policies did together; None where none learnt."""
        return merged(list(self.updates.values())) if self.updates else None

    def add(self, rollout: RolloutStats) -> None:
        """Take in what was decoded."""
        self.sampled += rollout.tokens
        self.blocked += rollout.blocked

    def lap(self, phase: str) -> None:
        """End a phase, or a part of it: it took the time since the last one ended."""
        now = time.monotonic()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._since
        self._since = now


class Journal:
    """Writes steps to the run folder and shows them."""

    def __init__(self, run: RunFolder, observer: Observer, config: Config) -> None:
        self._run = run
        self._observer = observer
        self._sample_every = config.run.sample_every
        self._started = time.monotonic()
        self._before = 0.0  # seconds that the run took until it was resumed
        self._log: MetricsLog | None = None

    def open(self) -> None:
        """Start writing, after the metrics of undone steps were cut away.

        The time of the lines goes on from the newest.
        """
        self._before = self._run.seconds()
        self._log = MetricsLog(self._run.metrics)

    def write(
        self,
        record: StepRecord,
        episodes: Sequence[Episode],
        batch: Sequence[Episode],
        buffer: dict[str, int],
    ) -> dict[str, Any]:
        """Log a finished step; returns its line. `batch` is the part of `episodes` that was trained
        on."""
        assert self._log is not None, "open() comes first"
        line = {
            "step": record.step,
            "of": record.of,
            "time": self._before + time.monotonic() - self._started,
            "phase": record.phase,
            "seconds": record.seconds | {"verify_blocked": record.blocked},
            "tokens": {**token_counts(episodes, batch), **record.entropy_shares},
            "tokens_per_s": record.sampled / record.seconds["play"],
            "answers": answer_means(episodes, batch),
            "groups": group_metrics(episodes),
            "proposals": {**proposal_rates(episodes), **posed(episodes)},
            "solver": solver_rates(episodes),
            "buffer": buffer,
            "verification": record.verification,
            "update": asdict(record.update) if record.update else None,
            "updates": {roles: asdict(stats) for roles, stats in record.updates.items()},
            "memory": {**memory_use(), "free_gib": free_gib()},
            "fruitless": record.fruitless.reason if record.fruitless else None,
            "probe": {"accuracy": record.scores.get("eval_mean")},
            **record.scores,
        }
        if record.step % self._sample_every == 0:
            save_samples(self._run.samples(record.step), episodes)
        self._log.append(line)  # last: a step is one that has its line
        self._observer.step(line)
        return line


def token_counts(episodes: Sequence[Episode], batch: Sequence[Episode]) -> dict[str, Any]:
    """Sampled tokens, and the shares that enter and that steer the update.

    surprisal: mean of -log p of all sampled tokens, nats: an estimate of the policy's entropy ·
    trained: share of the tokens of well-formed episodes that entered the advantage computation ·
    with_gradient: share of trained tokens whose advantage is not zero · skipped_prompts: episodes
    whose first prompt was over the token limit.
    """

    def tokens(some: Sequence[Episode]) -> int:
        return sum(episode.length for episode in some)

    def well_formed(some: Sequence[Episode]) -> list[Episode]:
        return [one for one in some if one.verdict.status is not Status.MALFORMED]

    return {
        "sampled": tokens(episodes),
        "surprisal": -sum(sum(one.logprobs) for one in episodes) / max(1, tokens(episodes)),
        "trained": tokens(well_formed(batch)) / max(1, tokens(well_formed(episodes))),
        "with_gradient": tokens([one for one in batch if one.advantage]) / max(1, tokens(batch)),
        "skipped_prompts": sum(one.verdict.code == TOO_LONG for one in episodes),
    }


def answer_means(episodes: Sequence[Episode], batch: Sequence[Episode]) -> dict[str, Any]:
    """Means over the episodes in which the model spoke; null where it spoke in none.

    tokens: mean number of sampled tokens · repetition: mean share of what was sampled that repeats
    what was sampled before it (`monitor.repetition`) · with_gradient: share of the trained
    episodes, `batch`, that have an advantage.
    """
    said = [list(compress(one.token_ids, one.sampled)) for one in episodes if one.stops]
    repeated = [share for ids in said if (share := repetition(ids)) is not None]
    return {
        "tokens": fmean(map(len, said)) if said else None,
        "repetition": fmean(repeated) if repeated else None,
        "with_gradient": fmean(bool(one.advantage) for one in batch) if batch else None,
    }


def posed(episodes: Sequence[Episode]) -> dict[str, float | None]:
    """reward: mean of all proposals · distinct: different tasks per valid proposal. Null where
    there are none."""
    proposals = [one for one in episodes if one.role is Role.PROPOSER and not one.failed]
    keys = [(task.kind, task.key) for one in proposals if (task := one.verdict.task)]
    return {
        "reward": fmean(one.reward for one in proposals) if proposals else None,
        "distinct": len(set(keys)) / len(keys) if keys else None,
    }
