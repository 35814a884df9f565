from itertools import product

import pytest

from azr_fast.types import Status

SORT = "def f(xs, n):\n    return sorted(xs)[:n]"


def deduction(play, output, program="def f(x):\n    return x", arguments="0"):
    return play.triplet("deduction", program, arguments, output)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("[1, 2]", "[1, 2]"),
        ("[1, 2]", "  [1,2]  "),
        ("'a'", '"a"'),
        ("{1, 2}", "{2, 1}"),
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}"),
        ("1", "1.0"),
        ("True", "1"),
        ("nan", "nan"),
        ("[inf, -inf]", "[inf, -inf]"),
        ("[nan]", "[float('nan')]"),
        ("set()", "set()"),
    ],
)
def test_deduction_compares_values(play, output, said):
    judgement = play.solve(deduction(play, output), play.blocks(output=said))
    assert (judgement.status, judgement.code) == (Status.PASSED, "ok")


@pytest.mark.parametrize(
    ("output", "said"),
    [("[1, 2]", "(1, 2)"), ("'a'", "'b'"), ("'1'", "1"), ("None", "'None'"), ("[]", "[[]]")],
)
def test_deduction_tells_values_apart(play, output, said):
    judgement = play.solve(deduction(play, output), play.blocks(output=said))
    assert (judgement.status, judgement.code) == (Status.WRONG, "wrong_output")


NO_LITERALS = ["the list", "1 + 1", "f(0)", "[x for x in [1]]", "'abc"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("deduction", ""),  # for abduction the empty argument list
        *product(["deduction", "abduction"], NO_LITERALS),
    ],
)
def test_an_answer_that_is_no_literal_is_malformed(play, kind, said):
    task = play.triplet(kind, "def f(x):\n    return x", "2", "2")
    text = play.blocks(**{"output" if kind == "deduction" else "input": said})
    judgement = play.solve(task, text)
    assert (judgement.status, judgement.code) == (Status.MALFORMED, "bad_literal")


@pytest.mark.parametrize("said", ["[3, 1, 2], 2", "[2, 1], 7", "(1, 2, 9), 2", "{1, 2}, 2"])
def test_any_input_that_gives_the_output_solves_abduction(play, said):
    task = play.triplet("abduction", SORT, "[2, 1, 3], 2", "[1, 2]")
    assert play.solve(task, play.blocks(input=said)).status is Status.PASSED


@pytest.mark.parametrize(
    ("said", "code"),
    [("[5], 2", "wrong_output"), ("[1, 2]", "error"), ("'ab', 2", "wrong_output"), ("", "error")],
)
def test_an_input_that_does_not_is_wrong(play, said, code):
    task = play.triplet("abduction", SORT, "[2, 1, 3], 2", "[1, 2]")
    judgement = play.solve(task, play.blocks(input=said))
    assert (judgement.status, judgement.code) == (Status.WRONG, code)


PAIRS = [("1", "2"), ("2", "4"), ("3", "6"), ("'a'", "'aa'")]
WORD_PAIRS = [(repr(word), repr(dict.fromkeys(word, 0))) for word in ("a", "b", "stream", "words")]


def test_induction_is_graded_on_every_hidden_pair(play):
    task = play.induction("def f(x):\n    return x * 2", PAIRS)
    right = play.solve(task, play.blocks(python="def f(x):\n    return x + x"))
    assert right.status is Status.PASSED
    for wrong in ("def f(x):\n    return int(x) * 2", "def f(x):\n    return 6"):
        judgement = play.solve(task, play.blocks(python=wrong))
        assert judgement.status is Status.WRONG


def test_the_order_of_a_dict_may_follow_the_hash_seed(play):
    task = play.induction("def f(x):\n    return dict.fromkeys(x, 0)", WORD_PAIRS)
    unordered = "def f(x):\n    return dict.fromkeys(set(x), 0)"
    for _ in range(4):
        assert play.solve(task, play.blocks(python=unordered)).status is Status.PASSED


def test_a_table_of_the_shown_pairs_does_not_solve_induction(play):
    task = play.induction("def f(x):\n    return x * 2", PAIRS)
    table = "def f(x):\n    return {1: 2, 2: 4}[x]"
    assert play.solve(task, play.blocks(python=table)).code == "error"


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("import os\ndef f(x):\n    return x * 2", "forbidden_module"),
        ("def g(x):\n    return x * 2", "no_entry_function"),
        ("def f(x):", "syntax_error"),
        ("def f(x):\n    while True: pass", "timeout"),
        (
            "class Liar:\n    def __eq__(self, other): return True\ndef f(x):\n    return Liar()",
            "not_plain",
        ),
    ],
)
def test_the_rules_hold_for_programs_of_solvers_too(play, program, code):
    task = play.induction("def f(x):\n    return x * 2", PAIRS)
    judgement = play.solve(task, play.blocks(python=program))
    assert (judgement.status, judgement.code) == (Status.WRONG, code)


@pytest.mark.parametrize("kind", ["deduction", "abduction", "induction"])
def test_an_answer_without_its_block_is_malformed(play, kind):
    task = (
        play.induction("def f(x):\n    return x * 2", PAIRS)
        if kind == "induction"
        else play.triplet(kind, "def f(x):\n    return x", "1", "1")
    )
    assert play.solve(task, "Let me think.").code == "no_answer"
    assert play.solve(task, "Let me think", truncated=True).code == "truncated"
    assert play.solve(task, "```message\n1\n```").status is Status.MALFORMED
