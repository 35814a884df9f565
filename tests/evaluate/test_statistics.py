"""Intervals, pass@k and paired differences, at their edges too."""

import math
from itertools import combinations

import pytest

from azr_fast.evaluate.statistics import (
    clustered_error,
    mean_interval,
    paired,
    pass_at_k,
    share_interval,
    sign_test,
    smallest_unpaired,
)


@pytest.mark.parametrize(
    ("samples", "passed", "k"),
    [(5, 2, 1), (5, 2, 3), (6, 0, 2), (6, 6, 4), (1, 1, 1), (1, 0, 1), (4, 3, 2)],
)
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_answer(samples, passed, k):
    draws = list(combinations([True] * passed + [False] * (samples - passed), k))
    assert pass_at_k(samples, passed, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize("k", [0, 5])
def test_pass_at_k_needs_as_many_samples(k):
    with pytest.raises(ValueError, match=f"pass@{k} needs"):
        pass_at_k(4, 1, k)


def test_a_share_has_wilsons_interval():
    # Brown, Cai and DasGupta (2001), equation 4, by hand for 5 of 10 and z = 1.96.
    z, n, p = 1.959964, 10, 0.5
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert share_interval(5, 10) == pytest.approx((middle - reach, middle + reach), abs=1e-6)


@pytest.mark.parametrize(("passed", "items"), [(0, 1), (1, 1), (0, 10), (10, 10), (0, 0)])
def test_a_share_of_none_or_all_still_has_an_interval(passed, items):
    low, high = share_interval(passed, items)
    assert 0.0 <= low <= high <= 1.0
    assert high - low > 0.2


def test_the_error_of_items_alone_is_the_usual_one_and_copies_do_not_lower_it():
    values = [1.0, 0.0, 0.0, 1.0, 1.0]
    usual = math.sqrt(0.3 / 5)  # variance 0.3 with n - 1
    assert clustered_error(values, range(5)) == pytest.approx(usual)
    assert clustered_error(values * 2, [*range(5)] * 2) == pytest.approx(usual)


def test_a_mean_has_students_interval():
    low, high = mean_interval([1.0, 0.0, 0.0, 1.0, 1.0], range(5), -1.0)
    reach = 2.776445 * math.sqrt(0.3 / 5)  # t of 4 degrees
    assert (low, high) == pytest.approx((0.6 - reach, 1.0), abs=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_items_that_are_all_alike_do_not_make_the_mean_certain(value):
    low, high = mean_interval([value] * 20, range(20), -1.0)
    assert low <= value <= high
    assert 0.1 < high - low < 0.4


def test_one_item_says_next_to_nothing():
    low, high = mean_interval([0.0], [1], -1.0)
    assert (low, high) == pytest.approx((-0.975, 0.975))
    found = paired([1.0], [0.0], ["a"])
    assert found.smallest is None
    assert found.p == 1.0


def test_no_item_is_told_as_such():
    found = paired([], [], [])
    assert (found.items, found.interval, found.p, found.smallest) == (0, (-1.0, 1.0), 1.0, None)
    assert smallest_unpaired(0.0, 0) is None


def test_a_paired_difference():
    ours, theirs = [1.0] * 30 + [0.0] * 70, [0.0] * 20 + [1.0] * 15 + [0.0] * 65
    found = paired(ours, theirs, range(100))
    assert (found.items, found.up, found.down) == (100, 20, 5)
    assert found.difference == pytest.approx(0.15)
    assert found.p == pytest.approx(0.00408, abs=1e-4)  # 2 P(X <= 5), X binomial(25, 1/2)
    error = math.sqrt((0.25 - 0.15**2) / 99)
    assert found.interval == pytest.approx((0.15 - 1.984 * error, 0.15 + 1.984 * error), abs=1e-3)
    assert found.smallest == pytest.approx(2.8016 * error, abs=1e-4)


def test_pooled_scores_of_one_item_count_as_one_cluster():
    once = paired([1.0, 0.0, 1.0, 1.0] * 5, [0.0, 0.0, 1.0, 0.0] * 5, range(20))
    twice = paired([1.0, 0.0, 1.0, 1.0] * 10, [0.0, 0.0, 1.0, 0.0] * 10, [*range(20)] * 2)
    assert twice.interval == pytest.approx(once.interval)
    assert (twice.up, twice.p, twice.smallest) == (once.up, once.p, pytest.approx(once.smallest))


@pytest.mark.parametrize(
    ("up", "down", "p"), [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (3, 3, 1.0)]
)
def test_the_sign_test_is_exact(up, down, p):
    assert sign_test(up, down) == pytest.approx(p)


def test_the_smallest_gain_is_that_of_the_tables():
    assert smallest_unpaired(0.5, 800) == pytest.approx(0.070, abs=1e-3)
    assert smallest_unpaired(0.5, 164) == pytest.approx(0.155, abs=2e-3)
    assert smallest_unpaired(0.5, 5) is None  # six that go one way are the least
