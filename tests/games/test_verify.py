"""Tasks that come from a file are run again, and nothing that the file says is believed."""

from dataclasses import replace

import pytest

from azr_fast.types import Status, Task

PROGRAM = "def f(x):\n    return x * 3"
PAIRS = [("1", "3"), ("2", "6"), ("'a'", "'aaa'"), ("[0]", "[0, 0, 0]")]


@pytest.fixture
def verify(player):
    return lambda task: unchecked(player.runner.run(player.game.verify(task)))


def unchecked(verdict):
    """The verdict with a task that does not tell what it passed."""
    return replace(verdict, task=verdict.task and replace(verdict.task, checks=()))


def triplet(play, kind="deduction", **changes):
    task = play.triplet(kind, PROGRAM, "5", "15")
    return replace(task, payload={**task.payload, **changes}, parents=("ancestor",))


def induction(play, **changes):
    task = play.induction(PROGRAM, PAIRS)
    return replace(task, payload={**task.payload, **changes})


@pytest.mark.parametrize("kind", ["deduction", "abduction"])
def test_what_holds_is_the_same_task_again(verify, play, kind):
    task = triplet(play, kind)
    assert verify(task).task == task
    assert verify(replace(task, key="forged")).task == task
    assert verify(triplet(play, kind, program_key="forged")).task == task


def test_induction_holds_too(verify, play):
    task = induction(play)
    assert verify(task).task == task
    assert (
        verify(replace(induction(play, shown=4, program_key="forged"), key="forged")).task == task
    )


def test_error_deduction_holds_too(make_player, play):
    player = make_player(kinds=("error_deduction",))
    task = play.triplet("error_deduction", "def f(x):\n    return 1 // x", "0", "ZeroDivisionError")
    assert unchecked(player.runner.run(player.game.verify(task))).task == task
    lie = replace(task, payload={**task.payload, "output": "NoError"})
    assert player.runner.run(player.game.verify(lie)).code == "wrong_output"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"output": "16"}, "wrong_output"),
        ({"output": "f(5)"}, "bad_literal"),
        ({"input": "6"}, "wrong_output"),
        ({"input": "g(6)"}, "bad_input"),
        ({"program": "import os\ndef f(x):\n    return x * 3"}, "forbidden_module"),
        ({"program": "def f(x):\n    while x: pass"}, "timeout"),
        ({"program": "def f(x:"}, "syntax_error"),
        ({"program": "def f(x):\n    return 15"}, "ignored_argument"),
        ({"program": 7}, "bad_payload"),
        ({"input": None}, "bad_payload"),
        ({"output": ["15"]}, "bad_payload"),
    ],
)
def test_a_triplet_that_does_not_hold_is_left_out(verify, play, changes, code):
    verdict = verify(triplet(play, **changes))
    assert (verdict.code, verdict.task) == (code, None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"pairs": [*PAIRS[:3], ("[0]", "[]")]}, "wrong_output"),
        ({"pairs": PAIRS[:3]}, "too_few_inputs"),
        ({"pairs": [*PAIRS[:3], PAIRS[0]]}, "duplicate_inputs"),
        ({"pairs": [["1", "3", "5"]]}, "bad_payload"),
        ({"pairs": "none"}, "bad_payload"),
        ({"pairs": [7]}, "bad_payload"),
        ({"message": 3}, "bad_payload"),
        ({"program": "import os\ndef f(x):\n    return x * 3"}, "forbidden_module"),
    ],
)
def test_an_induction_task_that_does_not_hold_is_left_out(verify, play, changes, code):
    verdict = verify(induction(play, **changes))
    assert (verdict.code, verdict.task) == (code, None)


def test_a_payload_without_its_parts_is_named(verify):
    verdict = verify(Task("deduction", "key", {"program": PROGRAM}))
    assert (verdict.status, verdict.code) == (Status.MALFORMED, "bad_payload")
    assert "input" in verdict.evidence


def test_what_holds_tells_what_it_passed(player, play):
    verdict = player.runner.run(player.game.verify(triplet(play)))
    assert "2_runs_agree" in verdict.task.checks
