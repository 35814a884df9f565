"""Two runs side by side: the figures of their last steps, and the keys their configs differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azr_fast.observe.rates import OTHERS, RATES, Figure, ends, evaluations, newest
from azr_fast.observe.run import Run
from azr_fast.observe.text import percent, signed

# Keys that differ between any two runs and say nothing of what they do.
PLACES = ("run.dir", "run.name", "sandbox.socket")


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of two runs: its value in the last steps of each; None where a run lacks it."""

    figure: Figure
    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        """The second less the first."""
        if self.first is None or self.second is None:
            return None
        return self.second - self.first


def common_steps(first: Run, second: Run) -> int:
    """How many steps both runs have made, counted from the first."""
    return min(len(first.lines), len(second.lines))


def rows(first: Run, second: Run, steps: int | None = None) -> list[Row]:
    """Every figure that one of the runs has, as the mean of the last few steps: of all of them, or
    of the first `steps`."""
    lines = first.lines[:steps], second.lines[:steps]
    figures = [*RATES, *OTHERS, *_of_groups(lines), *_of_evaluations(lines)]
    made = [Row(figure, *(_last(figure, some) for some in lines)) for figure in figures]
    return [row for row in made if row.first is not None or row.second is not None]


def _last(figure: Figure, lines: Sequence[Mapping[str, Any]]) -> float | None:
    """The mean of the last few steps; of scores, which few steps have, the newest."""
    values = [figure.of(line) for line in lines]
    return newest(values) if figure.keys[0].startswith("eval_") else ends(values)[1]


def _of_groups(lines: Sequence[Sequence[Mapping[str, Any]]]) -> list[Figure]:
    """Rewards by task-role group; what solvers solve and proposers pose to learn from."""
    names = dict.fromkeys(name for some in lines for line in some for name in line["groups"])
    figures = []
    for name in names:
        key, what = (
            ("learnable", "learnable") if name.endswith("/proposer") else ("passed", "solved")
        )
        figures.append(Figure(f"{name}: reward", ("groups", name, "reward"), signed))
        figures.append(Figure(f"{name}: {what}", ("groups", name, key), percent))
    return figures


def _of_evaluations(lines: Sequence[Sequence[Mapping[str, Any]]]) -> list[Figure]:
    names = dict.fromkeys(name for some in lines for name in evaluations(some))
    return [Figure(name.replace("_", " "), (name,), percent) for name in names]


def config_differences(first: Run, second: Run) -> list[tuple[str, str, str]]:
    """The keys that differ, with both values as text; empty where a run does not have the key."""
    one, other = _flat(first.config), _flat(second.config)
    keys = [key for key in dict.fromkeys([*one, *other]) if key not in PLACES]
    pairs = [(key, one.get(key, ""), other.get(key, "")) for key in keys]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _flat(config: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{section}.{key}": str(value)
        for section, values in config.items()
        if isinstance(values, Mapping)
        for key, value in values.items()
    }
