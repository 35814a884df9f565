"""Do engine and trainer hold the same weights? Both score the same text; a gap stops the run.

Rounding alone parts them: in fp32 by 1e-5 nats a token, in bf16 by about 0.05 in the mean and 0.4
at most on prose (SmolLM2; two attention implementations of one library differ as much). So the
difference is measured once at the start, when both hold the weights of the same files, and the
limits are never below what that rounding floor needs. Weights that did not arrive show far above
it: a head left stale differs by 0.4 to 2 in the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from azr_fast.config.schema import ParityConfig
from azr_fast.policy.chat import Renderer
from azr_fast.selfplay.types import Message, Prompt, Role

# The floor moves as weights do: a model that grows sure of itself has larger log-probs to round.
DRIFT = 2.0
# One token in hundreds may round badly: 18 sound syncs of a run saw the maximum double.
DRIFT_OF_MAX = 4.0
# At the start there is no floor to compare with, and errors to catch are gross: a wrong model.
START_SLACK = 10.0


class Scorer(Protocol):
    """The trainer's side: `Policy`."""

    def logprobs(self, sequences: Sequence[tuple[int, ...]]) -> list[list[float]]:
        """log p(token t | tokens before t) for t = 1.. of each sequence, at temperature 1."""


class EngineScorer(Protocol):
    """The engine's side: any `Engine`."""

    name: str

    def score(self, sequences: Sequence[tuple[int, ...]]) -> list[list[float]]:
        """The same, by the engine."""


@dataclass(frozen=True, slots=True)
class ParityReport:
    """|log p by the engine − log p by the trainer| over the probe's tokens, in nats."""

    mean: float
    max: float
    tokens: int

    def within(self, mean: float, largest: float) -> bool:
        """Whether both figures keep their limits; a NaN keeps none."""
        return self.mean <= mean and self.max <= largest


class ParityError(RuntimeError):
    """Engine and trainer disagree: what is sampled is not what is trained."""


class ParityProbe:
    """Compares both sides on fixed texts, shown as user messages.

    To be made while engine and trainer hold the same weights: `floor` is their difference then.
    Raises ParityError if they disagree already.
    """

    def __init__(
        self,
        engine: EngineScorer,
        policy: Scorer,
        renderer: Renderer,
        texts: Sequence[str],
        config: ParityConfig,
    ) -> None:
        self._engine = engine
        self._policy = policy
        self._sequences = [
            renderer.encode(Prompt("probe", Role.SOLVER, (Message("user", text),)))
            for text in texts
        ]
        start = START_SLACK * config.max_mean, START_SLACK * config.max_any
        self.floor = self._compare("before any training", *start)
        self._max_mean = max(config.max_mean, DRIFT * self.floor.mean)
        self._max_any = max(config.max_any, DRIFT_OF_MAX * self.floor.max)

    def check(self) -> ParityReport:
        """Compare now, with nothing queued in the engine. Raises ParityError."""
        return self._compare("after the weight sync", self._max_mean, self._max_any)

    def _compare(self, when: str, max_mean: float, max_any: float) -> ParityReport:
        sides = self._engine.score(self._sequences), self._policy.logprobs(self._sequences)
        report = compare(*sides)
        if not report.within(max_mean, max_any):
            raise ParityError(
                f"{when} the {self._engine.name} engine and the trainer disagree on "
                f"{report.tokens} tokens: |log p difference| is {report.mean:.3g} in the mean "
                f"(limit {max_mean:.3g}) and {report.max:.3g} at most (limit {max_any:.3g}); the "
                "engine may hold stale weights: --resume from the last checkpoint, or try "
                "--rollout.engine transformers"
            )
        return report


def compare(engine: Sequence[Sequence[float]], trainer: Sequence[Sequence[float]]) -> ParityReport:
    """Differences of two scorings of the same sequences; shapes must be equal."""
    gaps = [
        abs(a - b)
        for one, other in zip(engine, trainer, strict=True)
        for a, b in zip(one, other, strict=True)
    ]
    # max() would pass over a NaN that is not the first; sum() does not.
    mean = sum(gaps) / len(gaps)
    return ParityReport(mean=mean, max=max(gaps) if mean == mean else mean, tokens=len(gaps))
