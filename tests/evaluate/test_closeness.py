"""What counts as the expected value, and what is too long to be read at all."""

import time

import pytest

from azr_fast.evaluate.answers import final_answer
from azr_fast.evaluate.closeness import close, may_be_close
from azr_fast.sandbox.values import canonical

from . import records as made

BIG = 10**400


@pytest.mark.parametrize(
    ("value", "expected", "tolerance", "is_close"),
    [
        (0.1 + 0.2, 0.3, 0.0, True),  # floats have the authors' 1e-6 where they allow no error
        (1.0 + 1e-5, 1.0, 0.0, False),
        (1.0 + 1e-5, 1.0, 1e-4, True),
        ([1.0, 2.0], (1.0, 2.0), 0.0, False),
        ([1.0], [1.0, 2.0], 1e-3, False),
        (True, 1.0, 0.0, True),
        (float("nan"), float("nan"), 0.0, True),
        (float("inf"), 1e308, 1e-3, False),
        # Integers beyond all floats.
        (BIG, BIG, 0.0, True),
        (BIG, BIG + 1, 1e-6, False),
        ([BIG], [1.0], 0.0, False),
        ([1.0], [BIG], 1e-6, False),
        (BIG, 1.0, 0.0, False),
        ([BIG, 1.0], [BIG, 1.0 + 1e-9], 1e-6, True),
    ],
)
def test_values_near_the_expected_one_are_close(value, expected, tolerance, is_close):
    assert close(value, expected, tolerance) is is_close


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (10**308, 1e308),
        ([10**308] * 50, [1e308] * 50),
        (10**4000, 10**4000),
        (10**4000 - 1, 10**4000),
        ([1.0000000000000002] * 1000, [1] * 1000),
        (frozenset(), set()),
        (True, 1),
        ("9" * 1000, "9" * 1000),
    ],
)
def test_values_that_could_be_equal_are_read(value, expected):
    assert may_be_close(canonical(value), canonical(expected))
    assert may_be_close(canonical(expected), canonical(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[" + "0, " * 3_000_000 + "0]", "[0, 0]"),  # its tree takes gigabytes
        ("9" * 5_000_000, str([1] * 1_000_000)),  # its digits take minutes
        ("[1, " + "9" * 500 + "]", "[1, 2.5]"),
    ],
)
def test_what_is_far_too_long_is_not_read(value, expected):
    began = time.process_time()
    assert not may_be_close(value, expected)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("answer", ["[0] * 3000000", "'a' * 9000000", "10 ** 200000"])
def test_a_value_of_megabytes_is_wrong_and_soon_so(judge, monkeypatch, answer):
    read = []
    from azr_fast.evaluate import predictions

    parse = predictions.parse
    monkeypatch.setattr(predictions, "parse", lambda text: read.append(len(text)) or parse(text))
    verdict = judge("cruxeval-o", made.cruxeval()).verdict(f"<answer>{answer}</answer>")
    assert verdict.code == "wrong_output"
    assert len(verdict.evidence) <= 1000
    assert max(read) < 100


ZERO = {
    **made.HUMANEVAL_PLUS,
    "prompt": "def find_zero(xs: list):\n    ...\n",
    "entry_point": "find_zero",
    "canonical_solution": "    return -0.5\n",
    "base_input": [[[1, 2]]],
    "plus_input": [],
    "atol": 1e-4,
}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("-0.5", "ok"),
        ("-0.50001", "ok"),
        ("0.5", "wrong_output"),
        ("1e300", "wrong_output"),
        ("-10 ** 5000", "wrong_output"),
        ("float('nan')", "wrong_output"),
        ("'-0.5'", "wrong_output"),
        ("None", "wrong_output"),
    ],
)
def test_a_zero_of_any_size_is_judged(judge, value, code):
    answer = f"```python\ndef find_zero(xs):\n    return {value}\n```"
    assert judge("humaneval-plus", ZERO).code(answer) == code


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 1/4.", "1/4"),
        ("Answer: $5$.\nThank you", "5"),
        ("answer:\n\n 7 ", "7"),
        ("#### 12\n#### 13", "13"),
        ("the answer is: 3\nThe answer is ", "3"),
        ("answer:   ", None),
        ("none", None),
    ],
)
def test_what_a_text_calls_its_answer_is_found(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize("text", ["answer: x" + " " * 50_000 + "y", "answer:" + " \t" * 50_000])
def test_looking_for_an_answer_takes_no_longer_than_reading(text):
    began = time.process_time()
    final_answer(text)
    assert time.process_time() - began < 1
