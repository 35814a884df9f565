"""The vote, and how much questions are alike."""

import pytest

from azr_fast.games.agent0.repetition import repetition
from azr_fast.games.agent0.vote import measured, vote
from azr_fast.mathematics import Equality


@pytest.fixture(scope="module")
def equality():
    with Equality() as equality:
        yield equality


@pytest.mark.parametrize(
    ("answers", "label", "agreement", "uncertainty"),
    [
        (["5", "5", "7", "8"], "5", 0.5, 1.0),
        (["7", "5", "5"], "5", 2 / 3, 2 / 3),
        (["1/2", "0.5", r"\frac{1}{2}", "2"], "1/2", 0.75, 0.5),
        (["a", "b"], "a", 0.5, 1.0),  # the first of equals
        ([None, None, None, "4"], "4", 0.25, 0.5),
        ([None, None], None, 0.0, 0.0),
        ([], None, 0.0, 0.0),
        (["x"] * 10, "x", 1.0, 0.0),
    ],
)
def test_the_most_frequent_answer_is_the_label(equality, answers, label, agreement, uncertainty):
    counted = vote(answers, equality)
    assert (counted.label, counted.agreement) == (label, pytest.approx(agreement))
    assert counted.uncertainty == pytest.approx(uncertainty)
    assert len(counted.agrees) == len(answers)
    assert sum(counted.agrees) == pytest.approx(agreement * len(answers))


def test_against_the_truth_agreement_is_accuracy(equality):
    counted = measured(["3", "4.0", None, "4"], "4", equality)
    assert (counted.label, counted.agreement) == ("4", 0.5)
    assert counted.agrees == (False, True, False, True)


ALIKE = [
    "What is the remainder when 17 is divided by 5 in the usual way?",
    "What is the remainder when 19 is divided by 5 in the usual way?",
]
OTHER = "A farmer sells nine apples and buys two pears for the money he earned."


def test_clusters_by_bleu_are_shares_of_the_step():
    assert repetition([*ALIKE, OTHER], 4, 0.5) == [0.5, 0.5, 0.25]
    assert repetition([OTHER, *ALIKE], 8, 0.5) == [0.125, 0.25, 0.25]
    assert repetition([OTHER], 4, 0.5) == [0.25]
    assert repetition([], 4, 0.5) == repetition([], 0, 0.5) == []


def test_equal_questions_are_alike_however_short():
    """Smoothing gives three equal words a BLEU of 0.56."""
    assert repetition(["What is 2?", "What is 2?", "Why not?"], 3, 0.1) == [2 / 3, 2 / 3, 1 / 3]


def test_the_bound_decides_what_is_alike():
    """The two differ in one word of 13: BLEU is 0.81 both ways."""
    assert repetition(ALIKE, 2, 0.1) == [0.5, 0.5]
    assert repetition(ALIKE, 2, 0.3) == [1.0, 1.0]
