"""Rewards for what proposed programs are like, by hand-computed numbers."""

import math
import random
import sys
import threading

import pytest

from azr_fast.errors import UserError
from azr_fast.games.azr import intrinsic, measures
from azr_fast.games.azr.config import IntrinsicConfig
from azr_fast.types import Episode, Family, Role, Source, Status, Verdict

PLAIN = "def f(x):\n    return x"
BRANCHY = """\
def f(xs):
    total = 0
    for x in xs:
        if x > 0 and x < 9 or x == 50:
            total += x
    return total if total else [y for y in xs if y]
"""


def test_cognitive_complexity_is_that_of_its_white_paper():
    # for 1, nested if 2, and 1, or 1, conditional 1, comprehension 1 or more with its condition.
    assert measures.cognitive_complexity(PLAIN) == 0
    assert measures.cognitive_complexity("def f(x):\n    for i in x:\n        if i:\n            return 1\n    return 0") == 3  # fmt: skip
    assert measures.cognitive_complexity(BRANCHY) > 5


@pytest.mark.parametrize("measure", [measures.cognitive_complexity, measures.cyclomatic_complexity])
def test_a_program_that_python_runs_is_measured_however_deep_it_is(measure):
    measure(f"def f(x):\n    return {'not ' * 900}x")
    measure(f"def f(x):\n    return {'x if x else ' * 250}x")


def test_cyclomatic_complexity_counts_decisions_and_one():
    assert measures.cyclomatic_complexity(PLAIN) == 1
    # for, if, and, or, conditional expression, comprehension, its condition: 7.
    assert measures.cyclomatic_complexity(BRANCHY) == 8
    match = "def f(x):\n    match x:\n        case 1:\n            return 2\n        case _:\n            return 3"
    assert measures.cyclomatic_complexity(match) == 3
    tried = "def f(x):\n    while x:\n        try:\n            x -= 1\n        except ValueError:\n            pass"
    assert measures.cyclomatic_complexity(tried) == 3


def test_distance_of_trees_is_the_mean_over_references():
    assert measures.tree_distance(PLAIN, [PLAIN]) == 0
    assert measures.tree_distance(PLAIN, ["def f(y):\n    return y"]) == 0  # names do not count
    # Module FunctionDef arguments arg Return Name Load, against two more at the end for `x + x`:
    # Return BinOp Name Load Add Name Load: 3 insertions and a match of what is left, of 11.
    longer = "def f(x):\n    return x + x"
    far = measures.tree_distance(PLAIN, [longer])
    assert far == pytest.approx(4 / 11)
    assert measures.tree_distance(PLAIN, [PLAIN, longer]) == pytest.approx(far / 2)
    assert measures.tree_distance(PLAIN, []) == 1


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        ("sum", 0.75 + 0.5 + 0.2),
        ("multiply", 0.75 * 0.5 * 0.2),
        ("sum_multiply", 0.75 + 0.5 * 0.2),
        ("multiply_sum", 0.75 * (0.5 + 0.2)),
    ],
)
def test_measures_are_weighted_bounded_and_combined(combine, expected):
    config = IntrinsicConfig(cyclomatic=0.1, distance=0.4, most=0.5, combine=combine)
    found = {"cyclomatic": 8.0, "distance": 0.5}  # 0.8, bounded to 0.5; and 0.2
    assert intrinsic.combined(0.75, found, config) == pytest.approx(expected)


@pytest.fixture
def scored(make_player, buffer, play):
    """A proposal of BRANCHY, which gives 3 for [3], that was solved at this rate; two of the three
    known tasks give 3 as well."""
    for n, output in enumerate("338"):
        known = play.triplet("deduction", f"def f(x):\n    return x + {n}", "1", output)
        buffer.add(known, 0)

    def score(accuracy, status=Status.PASSED, **weights):
        player = make_player(intrinsic=weights)
        player.game.sources("deduction", 1, buffer, random.Random(0))
        source = Source("deduction", (play.triplet("deduction", PLAIN, "1", "1"),))
        one = Episode((0,), Role.PROPOSER, "deduction", source=source)
        one.verdict = player.propose(source, play.blocks(python=BRANCHY, input="[3]"))
        if status is not Status.PASSED:
            one.verdict = Verdict(status, "no")
        one.facts = {"new": True, "accuracy": accuracy}
        player.game.score([Family(one)])
        return one

    return score


def test_a_learnable_task_earns_its_measures_and_facts_hold_them(scored):
    one = scored(0.25, cyclomatic=0.01, diversity=0.3)
    assert one.facts["cyclomatic"] == 8
    assert one.facts["diversity"] == pytest.approx(1 - 2 / 3)  # two of three known tasks give 3
    assert one.reward == pytest.approx(0.75 + 0.08 + 0.1)


@pytest.mark.parametrize(("accuracy", "status"), [(0.0, Status.PASSED), (1.0, Status.PASSED), (0.5, Status.REJECTED), (0.5, Status.MALFORMED)])  # fmt: skip
def test_others_earn_none(scored, accuracy, status):
    plain = scored(accuracy, status=status)
    assert scored(accuracy, status=status, cyclomatic=0.1).reward == plain.reward


def test_it_is_off_by_default_and_needs_no_library(scored, monkeypatch):
    monkeypatch.setitem(sys.modules, "complexipy", None)
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    one = scored(0.25)
    assert one.reward == 0.75
    assert set(one.facts) == {"new", "accuracy"}


@pytest.mark.parametrize(
    ("key", "library"), [("cognitive", "complexipy"), ("distance", "rapidfuzz")]
)
def test_a_missing_library_is_named_at_the_start(monkeypatch, key, library):
    monkeypatch.setattr(intrinsic, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=f"intrinsic.{key} needs the package {library}"):
        intrinsic.Intrinsic(IntrinsicConfig(**{key: 0.1}))


def test_measures_are_taken_in_another_thread_while_the_play_goes_on(monkeypatch, play):
    where, go = [], threading.Event()

    def slow(program):
        assert go.wait(60)
        where.append(threading.current_thread())
        return 3.0

    monkeypatch.setattr(measures, "cyclomatic_complexity", slow)
    beside = intrinsic.Intrinsic(IntrinsicConfig(cyclomatic=0.1))
    source, task = Source("deduction"), play.triplet("deduction", PLAIN, "1", "1")
    beside.begin(source, task)  # returns though nothing is measured yet
    assert not where
    go.set()
    one = Episode((0,), Role.PROPOSER, "deduction", source=source)
    one.verdict = Verdict(Status.PASSED, "ok", task=task)
    assert math.isclose(beside.reward(0.5, one), 0.8)
    assert len(where) == 1
    assert where[0] is not threading.current_thread()
