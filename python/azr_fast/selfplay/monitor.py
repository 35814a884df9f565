"""Signs of a run that goes wrong: numbers of each step, and the bounds that the config sets them.

A number that a step does not have is passed over, and counts for nothing. What was seen before a
run was resumed counts as well (`Monitor.recall`), so that a run ends where it would have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.rollout.parity import gap_limit

Line = Mapping[str, Any]  # of metrics.jsonl
RUN = 4  # tokens that are said again


def value_at(line: Line, path: str) -> float | None:
    """The number at a dotted path of a step's metrics; None where there is none."""
    value: Any = line
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int | float) else None


@dataclass(frozen=True, slots=True)
class Sign:
    """What is watched. `value` gets the lines of all steps so far and the config."""

    name: str  # of its bound in the section `monitor`, too
    least: bool  # whether the bound is the least value, or the most
    says: str  # what the value is, for people
    value: Callable[[Sequence[Line], Config], float | None]


def _at(path: str) -> Callable[[Sequence[Line], Config], float | None]:
    return lambda lines, config: value_at(lines[-1], path)


def _length(lines: Sequence[Line], config: Config) -> float | None:
    tokens = value_at(lines[-1], "answers.tokens")
    return None if tokens is None else tokens / config.rollout.max_new_tokens


def _parity(lines: Sequence[Line], config: Config) -> float | None:
    gap = value_at(lines[-1], "update.logprob_gap")
    return None if gap is None else gap / gap_limit(config)


def _memory(lines: Sequence[Line], config: Config) -> float | None:
    used, free = (value_at(lines[-1], f"memory.{name}_gib") for name in ("now", "free"))
    return None if used is None or free is None else used / (used + max(0.0, free))


def _drift(lines: Sequence[Line], config: Config) -> float | None:
    """How much more the proposer's reward has grown than the accuracy on the probe."""
    leads = [lead for line in lines if (lead := _lead(line)) is not None]
    return leads[-1] - leads[0] if leads and _lead(lines[-1]) is not None else None


def _lead(line: Line) -> float | None:
    """How far the proposer's reward is ahead of the accuracy on the probe."""
    reward, accuracy = value_at(line, "proposals.reward"), value_at(line, "probe.accuracy")
    return None if reward is None or accuracy is None else reward - accuracy


SIGNS = (
    Sign("entropy", True, "nats a token is the surprisal of the answers", _at("tokens.surprisal")),
    Sign("distinct", True, "of the valid proposals are different tasks", _at("proposals.distinct")),
    Sign("new", True, "of the proposals are valid and new", _at("proposals.new")),
    Sign("valid", True, "of the proposals are valid", _at("proposals.valid")),
    Sign("gradient", True, "of the episodes have an advantage", _at("answers.with_gradient")),
    Sign("drift", False, "is what the proposer's reward gained on the probe's accuracy", _drift),
    Sign("length", False, "of rollout.max_new_tokens is the length of the mean answer", _length),
    Sign("repetition", False, "of an answer repeats what it said", _at("answers.repetition")),
    Sign("parity", False, "of parity.max_gap is the gap of engine and trainer", _parity),
    Sign("memory", False, "of the memory that the run could have is in use", _memory),
)


class Monitor:
    """Compares each step with the bounds of the config."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lines: list[Line] = []
        self._values: dict[str, float] = {}  # of the newest step
        self._beyond = {sign.name: 0 for sign in SIGNS}  # steps in a row

    def recall(self, lines: Iterable[Line]) -> None:
        """Take in the steps of a run that is resumed, without a word."""
        for line in lines:
            self._take(line)

    def after(self, line: Line, note: Callable[[str], None]) -> None:
        """Take in a step that is over; say what went beyond a bound `patience` steps ago.

        Raises UserError for one that is to stop the run.
        """
        self._take(line)
        patience = self._config.monitor.patience
        seen = [sign for sign in SIGNS if sign.name in self._values]
        for sign in seen:
            if self._beyond[sign.name] == patience:
                note(f"warning: {self._seen(sign)}")
        for sign in seen:
            if sign.name in self._config.monitor.stop and self._beyond[sign.name] >= patience:
                raise UserError(f"stopped: {self._seen(sign)}: {_remedy(sign)}")

    def _take(self, line: Line) -> None:
        self._lines.append(line)
        self._values.clear()
        for sign in SIGNS:
            value = sign.value(self._lines, self._config)
            if value is not None:
                self._values[sign.name] = value
                beyond = self._is_beyond(sign, value)
                self._beyond[sign.name] = self._beyond[sign.name] + 1 if beyond else 0

    def _is_beyond(self, sign: Sign, value: float) -> bool:
        bound = self._bound(sign)
        return value < bound if sign.least else value > bound

    def _bound(self, sign: Sign) -> float:
        return float(getattr(self._config.monitor, sign.name))

    def _seen(self, sign: Sign) -> str:
        value, bound = self._values[sign.name], self._bound(sign)
        limit = "below" if sign.least else "above"
        steps = self._beyond[sign.name]
        return (
            f"{value:.3g} {sign.says}; it is {limit} monitor.{sign.name} ({bound:g}) for "
            f"{steps} step{'s' if steps > 1 else ''} in a row"
        )


def _remedy(sign: Sign) -> str:
    return (
        f"read the answers in the run's samples folder; to go on nevertheless, resume with another "
        f"--monitor.{sign.name}, or with a --monitor.stop without {sign.name}"
    )


def repetition(ids: Sequence[int]) -> float | None:
    """Share of the runs of RUN tokens of a text that it holds before; None for a shorter text."""
    runs = [tuple(ids[i : i + RUN]) for i in range(len(ids) - RUN + 1)]
    return 1.0 - len(set(runs)) / len(runs) if runs else None
