"""Answers compared as mathematics, whatever they hold."""

import random
import sys

import pytest

from azr_fast.errors import UserError
from azr_fast.mathematics import Equality, last_boxed
from azr_fast.mathematics.numerals import is_integer, plain


@pytest.fixture(scope="module")
def equality():
    pytest.importorskip("math_verify")
    with Equality() as equality:
        yield equality


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (r"so \boxed{42}.", "42"),  # the whole of it, not its last character
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} no, \boxed{2}", "2"),
        (r"\boxed{\{1, 2\}} and \boxed{unclosed", r"\{1, 2\}"),
        (r"\boxed{\{}", r"\{"),
        (r"\boxed {x}", "x"),
        (r"\fbox{7}", "7"),
        (r"\boxed{\boxed{3}}", "3"),
        (r"\boxed{}", None),
        (r"\boxed{ } \boxed{5} \boxed{}", "5"),
        (r"boxed{5}", None),
        ("", None),
        (r"\boxed{" * 50_000, None),
    ],
)
def test_the_last_box_is_read_whole(text, box):
    assert last_boxed(text) == box


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        (" 1,000.50 ", "1000.5"), ("$1{,}000$", "1000"), ("+007", "7"), (".50", "0.5"), ("3.", "3"),
        ("-0", "0"), ("-0.0", "0"), ("-0.5", "-0.5"), ("1,00", "1,00"), ("1,2,3", "1,2,3"), (r"\(x\)", "x"),
        ("$$x$$", "x"), ("$", "$"), ("", ""), ("x  +  1.", "x + 1"), ("12 345", "12 345"),
    ],
)  # fmt: skip
def test_numbers_are_written_the_usual_way(answer, form):
    assert plain(answer) == form
    assert plain(form) == form


def test_integers_are_known_by_their_digits():
    assert is_integer("-12")
    assert not any(map(is_integer, ["1.5", "", "-", "x", "1/2", "²", "٣"]))


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        (r"\frac{1}{2}", "0.5", True),
        (r"\frac12", "1/2", True),
        (r"\dfrac{14}{3}", "14/3", True),
        (r"2\sqrt{2}", r"\sqrt{8}", True),
        ("x^2+2x+1", "(x+1)^2", True),
        (r"\{1,2\}", r"\{2,1\}", True),
        ("(1,2)", "(2,1)", False),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)", True),
        (r"10\%", "0.1", True),
        (r"5\text{ cm}", "5", True),
        (r"\text{Evelyn}", "Evelyn", True),
        ("7", "8", False),
        ("3", "3.5", False),
        ("1/3", "0.3333333", True),
        ("1/3", "0.33", False),
        ("", "", False),
        ("5", "", False),
    ],
)
def test_equal_answers_need_not_look_alike(equality, gold, answer, right):
    assert equality.equal(gold, answer) is right


def test_numbers_of_ten_thousand_digits_are_compared_exactly(equality):
    rng = random.Random(0)
    digits = "1" + "".join(rng.choice("0123456789") for _ in range(9999))
    grouped = f"{int(digits[:1])}," + ",".join(digits[i : i + 3] for i in range(1, 10000, 3))
    before = equality.compared
    assert equality.equal(digits, grouped)
    assert equality.equal(digits, "0" + digits + ".0")
    assert not equality.equal(digits, digits[:-1] + str((int(digits[-1]) + 1) % 10))
    assert not equality.equal(digits, digits + "0")
    assert equality.compared == before  # no algebra was asked
    assert not equality.equal(digits, "9" * 100 + "/3")


HOSTILE = [
    "{" * 60 + "1" + "}" * 59,
    r"\frac{" * 300,
    r"1/0",
    "\0",
    "\ud800",
    "1\n2",
    "2" * 100_000,
]


@pytest.mark.parametrize("answer", HOSTILE)
def test_a_hostile_answer_is_wrong_and_nothing_else(equality, answer):
    assert equality.equal("7", answer) is False
    assert equality.equal(r"\frac{1}{2}", "0.5")  # it goes on


def test_an_answer_that_is_code_is_not_run(equality, tmp_path):
    owned = tmp_path / "owned"
    for code in (f"__import__('os').mkdir('{owned}')", f"open('{owned}', 'w')"):
        for answer in (code, rf"\text{{{code}}}", rf"\mathrm{{{code}}}", f"1 + {code}"):
            assert not equality.equal("7", answer)
    assert not owned.exists()


def test_a_comparison_that_hangs_is_ended_and_counted(equality):
    before = equality.ended
    assert not equality.equal(r"\sqrt{2}", r"(10^{9})!+1")
    assert equality.ended == before + 1
    assert equality.equal(r"\sqrt{4}", "2")


def test_what_hangs_on_its_own_is_not_tried_again(equality):
    assert not equality.equal("7", r"(10^{9})!+2")
    ended, compared = equality.ended, equality.compared
    for other in ("8", r"\sqrt{3}", "x"):
        assert not equality.equal(other, r"(10^{9})!+2")
    assert equality.ended == ended
    assert equality.compared == compared


@pytest.mark.parametrize(
    "answer",
    [r"17 \text{ } \boxed{18", r"17} \boxed{18", "18}{17", "17}{18", r"17} \boxed{17} \boxed{18"],
)
def test_no_answer_opens_a_box_of_its_own_and_guesses_twice(equality, answer):
    assert not equality.equal("18", answer)


def test_escaped_braces_need_no_partner(equality):
    assert equality.equal(r"\{1, 2\}", r"\left\{2, 1\right\}")


def test_equal_forms_vote_together(equality):
    answers = ["0.5", "7", r"\frac{1}{2}", None, "1/2", "7.0", "x"]
    assert equality.classes(answers) == [0, 1, 0, None, 0, 1, 2]
    assert equality.classes([None, None]) == [None, None]
    assert equality.classes([]) == []


def test_without_the_library_a_line_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with Equality() as equality, pytest.raises(UserError, match="pip install"):
        equality.equal("1/2", "0.5")
