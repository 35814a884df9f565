"""The figures that a run is judged by, in the terminal, on the page and beside another run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from azr_fast.observe.run import at
from azr_fast.observe.text import percent, signed

Metrics = Mapping[str, Any]

WINDOW = 5  # steps whose mean stands for the start and the end of a run


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a step: its name for people, where it stands, how it is written."""

    name: str
    keys: tuple[str, ...]
    write: Callable[[float | None], str]

    def of(self, line: Metrics) -> float | None:
        """Its value in a step; None where the step has none."""
        return at(line, *self.keys)


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


RATES: Sequence[Figure] = (
    Figure("well-formed proposals", ("proposals", "well_formed"), percent),
    Figure("valid proposals", ("proposals", "valid"), percent),
    Figure("valid and new proposals", ("proposals", "new"), percent),
    Figure("learnable proposals", ("proposals", "learnable"), percent),
    Figure("solved tasks", ("solver", "solve_rate"), percent),
)
OTHERS: Sequence[Figure] = (
    Figure("solver reward", ("solver", "reward"), signed),
    Figure("entropy, nats", ("update", "entropy"), _two),
    Figure("gap of log-probs, nats", ("update", "logprob_gap"), _digits),
    Figure("gradient norm", ("update", "grad_norm"), _two),
    Figure("sampled tokens/s", ("tokens_per_s",), _whole),
    Figure("peak memory, GiB", ("memory", "peak_gib"), _two),
)


def window(lines: Sequence[object]) -> int:
    """How many steps stand for each end of a run: a few, at most half of them, at least one."""
    return max(1, min(WINDOW, len(lines) // 2))


def ends(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Means of the first and the last few; None where no value is known."""
    count = window(values)
    return mean_known(values[:count]), mean_known(values[-count:])


def mean_known(values: Sequence[float | None]) -> float | None:
    """The mean of what is not None."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def evaluations(lines: Sequence[Metrics]) -> list[str]:
    """The keys of scores on benchmarks, such as eval_gsm8k, in order of first appearance; beside
    one, eval_gsm8k_low and eval_gsm8k_high may be the ends of its interval."""
    keys = dict.fromkeys(key for line in lines for key in line if key.startswith("eval_"))
    ends_of_intervals = {key + end for key in keys for end in ("_low", "_high")}
    return [key for key in keys if key not in ends_of_intervals]


def newest(values: Sequence[float | None]) -> float | None:
    """The last value that is known; None where none is."""
    return next((value for value in reversed(values) if value is not None), None)
