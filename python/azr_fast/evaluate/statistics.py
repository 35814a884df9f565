"""What scores can show: intervals, pass@k, paired differences. Shares are from 0 to 1.

Intervals are of 95%. scipy has the distributions and the tests; what it gives for no item, one
item, or items that are all alike, where it gives nan or an interval of length 0, is settled here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from scipy import stats

CONFIDENCE = 0.95
POWER = 0.8  # chance to see a gain of the smallest size that counts as detectable
Interval = tuple[float, float]


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """The chance that one of `k` samples passes, without bias (arXiv 2107.03374, equation 1): one
    minus the hypergeometric chance of drawing no right one of `passed` among `samples`."""
    if not 0 < k <= samples:
        raise ValueError(f"pass@{k} needs at least {max(k, 1)} samples of an item, not {samples}")
    return float(stats.hypergeom.sf(0, samples, passed, k))


def share_interval(passed: int, items: int) -> Interval:
    """Wilson's interval of a share; all of [0, 1] where there is no item."""
    if not items:
        return 0.0, 1.0
    low, high = stats.binomtest(passed, items).proportion_ci(CONFIDENCE, method="wilson")
    return float(low), float(high)


def mean_interval(values: Sequence[float], clusters: Sequence[Hashable], least: float) -> Interval:
    """Student's interval of a mean over clusters whose members depend on each other, within
    [least, 1], the bounds of a value.

    Where all clusters have one mean, nothing is known of the spread. A share of them as large as
    the exact bound on what was never seen may then be anything, and the interval says so.
    """
    if not values:
        return least, 1.0
    mean = math.fsum(values) / len(values)
    error = clustered_error(values, clusters)
    groups = len(set(clusters))
    if error == 0.0 or groups < 2:
        unseen = _unseen(groups)
        return mean - unseen * (mean - least), mean + unseen * (1.0 - mean)
    reach = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, groups - 1))
    return max(least, mean - reach), min(1.0, mean + reach)


def clustered_error(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """The standard error of a mean whose members depend on each other within clusters (Liang and
    Zeger 1986, with G / (G - 1)). Of clusters of one it is the usual one."""
    mean = math.fsum(values) / len(values)
    sums: dict[Hashable, float] = {}
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value - mean
    groups = len(sums)
    if groups < 2 or max(values) == min(values):  # beyond rounding
        return 0.0
    total = math.fsum(one * one for one in sums.values())
    return math.sqrt(total * groups / (groups - 1)) / len(values)


@dataclass(frozen=True, slots=True)
class Paired:
    """Two models on the same items: how much better the first one is."""

    items: int
    difference: float  # of mean scores
    interval: Interval
    up: int  # clusters that the first one does better on
    down: int
    p: float  # of the exact sign test, two-sided
    smallest: float | None  # gain that so many items can show; None: none can


def paired(ours: Sequence[float], theirs: Sequence[float], clusters: Sequence[Hashable]) -> Paired:
    """Compare scores of items; those of one cluster depend on each other."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    sums: dict[Hashable, float] = {}
    for difference, cluster in zip(differences, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + difference
    up, down = (sum(sign * one > 1e-12 for one in sums.values()) for sign in (1, -1))
    mean = math.fsum(differences) / len(differences) if differences else 0.0
    return Paired(
        len(differences),
        mean,
        mean_interval(differences, clusters, -1.0),
        up,
        down,
        sign_test(up, down),
        _smallest_paired(differences, clusters),
    )


def sign_test(up: int, down: int) -> float:
    """p of the exact two-sided sign test; 1 where nothing differs."""
    return float(stats.binomtest(up, up + down).pvalue) if up + down else 1.0


def smallest_unpaired(share: float, items: int) -> float | None:
    """The smallest gain that two separate runs of so many items can show, at this share of right
    answers; None where not even one from none to all could be told from chance."""
    spread = max(share * (1 - share), _unseen(items) * (1 - _unseen(items)))
    return _detectable(math.sqrt(2 * spread / items), items) if items else None


def _smallest_paired(values: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    groups = len(set(clusters))
    if not groups:
        return None
    least = math.sqrt(_unseen(groups) / groups) if groups > 1 else 1.0
    error = clustered_error(values, clusters)
    return _detectable(error or least, groups)


def _detectable(error: float, items: int) -> float | None:
    """With this standard error; the sign test needs six items that all go one way."""
    quantiles = stats.norm.ppf([(1 + CONFIDENCE) / 2, POWER])
    gain = max(float(quantiles.sum()) * error, _least_signs() / items)
    return gain if gain <= 1.0 else None


def _least_signs() -> int:
    """How many items must go one way before the sign test tells it from chance."""
    return next(n for n in range(1, 100) if sign_test(n, 0) < 1 - CONFIDENCE)


def _unseen(items: int) -> float:
    """The largest share that may well have been met in none of so many items (Clopper-Pearson)."""
    if not items:
        return 1.0
    return float(stats.binomtest(0, items).proportion_ci(CONFIDENCE, method="exact").high)
