"""Rows of a benchmark as its score, with what decides scores more often than the model does."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from azr_fast.evaluate.statistics import (
    Interval,
    Paired,
    mean_interval,
    paired,
    pass_at_k,
    share_interval,
    smallest_unpaired,
)
from azr_fast.evaluate.store import Row


@dataclass(frozen=True, slots=True)
class Score:
    """What a model reached on a benchmark. Shares are of answers, `score` is a mean over items."""

    benchmark: str
    form: str
    items: int
    samples: int
    score: float
    interval: Interval
    pass_at: dict[int, float]
    unparsed: float
    truncated: float
    timed_out: float
    skipped: float
    tokens: float  # sampled, in the mean
    smallest: float | None  # gain that two separate runs of so many items can show


def score_of(rows: Sequence[Row], ks: Sequence[int] = (1,)) -> Score:
    """The score of rows of one benchmark (not empty)."""
    items = by_item(rows)
    means = [fmean(one.passed for one in item) for item in items.values()]
    samples = min(map(len, items.values()))
    mean = math.fsum(means) / len(means)
    if samples == 1:
        interval = share_interval(round(sum(means)), len(means))
    else:
        interval = mean_interval(means, list(items), 0.0)
    return Score(
        benchmark=rows[0].benchmark,
        form=rows[0].form,
        items=len(items),
        samples=samples,
        score=mean,
        interval=interval,
        pass_at={k: _pass_at(items.values(), k) for k in ks if k <= samples},
        unparsed=fmean(row.status == "malformed" for row in rows),
        truncated=fmean(row.truncated for row in rows),
        timed_out=fmean(row.code == "timeout" for row in rows),
        skipped=fmean(row.status == "failed" for row in rows),
        tokens=fmean(row.tokens for row in rows),
        smallest=smallest_unpaired(mean, len(items)),
    )


def _pass_at(items: object, k: int) -> float:
    return fmean(pass_at_k(len(item), sum(one.passed for one in item), k) for item in items)  # type: ignore[attr-defined]


def compare(ours: Sequence[Row], theirs: Sequence[Row]) -> Paired:
    """The difference on the items that both have; of several benchmarks, pooled."""
    one, other = by_item(ours), by_item(theirs)
    shared = [item for item in one if item in other]
    return paired(
        [fmean(row.passed for row in one[item]) for item in shared],
        [fmean(row.passed for row in other[item]) for item in shared],
        [one[item][0].cluster for item in shared],
    )


def by_item(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """The answers to each item of each benchmark."""
    items: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        items[row.benchmark, row.item].append(row)
    return dict(items)
