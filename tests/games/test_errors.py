"""Error deduction: which exception does a program raise?"""

import pytest

from azr_fast.games.azr.tasks import ERRORS
from azr_fast.types import Source, Status

PROGRAM = "def f(x):\n    return 10 // (x - 3)"


@pytest.fixture(scope="module")
def errors(make_player):
    return make_player(kinds=("deduction", "error_deduction"), pairs=4)


@pytest.fixture
def propose(errors, play):
    return lambda program, given: errors.propose(
        Source(ERRORS), play.blocks(python=program, input=given)
    )


@pytest.mark.parametrize(
    ("program", "given", "name"),
    [
        (PROGRAM, "3", "ZeroDivisionError"),
        (PROGRAM, "4", "NoError"),
        ("class Odd(Exception):\n    pass\ndef f(x):\n    raise Odd(x)", "1", "Odd"),
        ("import json\ndef f(x):\n    return json.loads(x)", "'{'", "JSONDecodeError"),
        ("def f(x):\n    raise SystemExit(x)", "1", "SystemExit"),
        ("def f(x):\n    return f(x)", "1", "RecursionError"),
    ],
)
def test_a_task_holds_the_name_of_the_class(propose, program, given, name):
    task = propose(program, given).task
    assert (task.kind, task.payload["output"]) == (ERRORS, name)


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("1 / 0\ndef f(x):\n    return x", "error"),  # before it is called
        ("def f(x):\n    while x: pass", "timeout"),
        ("def f(x):\n    return 'a' * 10**13 + x", "memory"),
        ("def f(x):\n    return lambda: x", "not_plain"),
        ("def f(x):\n    raise type('a b', (Exception,), {})(x)", "not_plain"),
        ("def f(x):\n    raise type('E%d' % (hash('a') % 10**9), (Exception,), {})(x)", "nondeterministic"),
        ("def f(x):\n    raise ValueError", "ignored_argument"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_no_task(propose, program, code):
    verdict = propose(program, "1")
    assert (verdict.status, verdict.code) == (Status.REJECTED, code)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("ZeroDivisionError", Status.PASSED),
        ("`ZeroDivisionError`", Status.PASSED),
        ("'ZeroDivisionError'", Status.PASSED),
        ("ArithmeticError", Status.WRONG),  # a class above it is another name
        ("NoError", Status.WRONG),
        ("division by zero", Status.MALFORMED),
        ("", Status.MALFORMED),
    ],
)
def test_a_solution_is_the_name(propose, errors, play, answer, status):
    task = propose(PROGRAM, "3").task
    assert errors.solve(task, play.blocks(output=answer)).status is status


@pytest.mark.parametrize("form", ["full", "compact", "compact_thought"])
def test_prompts_show_what_is_known_and_hide_the_name(make_player, propose, form):
    task = propose("def f(quagga):\n    return {}[quagga]", "8117").task
    player = make_player(kinds=("error_deduction",), prompts=form)
    text = player.solve_prompt(task).told()
    assert "quagga" in text
    assert "8117" in text
    assert "KeyError" not in text.partition("quagga")[2]
    assert "quagga" in player.proposal_prompt(Source(ERRORS, (task,))).told()


def test_it_begins_with_the_identity_only_where_it_is_played(errors, make_player):
    first = {task.kind: task for task in errors.game.first_tasks()}
    assert first[ERRORS].payload["output"] == "NoError"
    assert ERRORS not in {task.kind for task in make_player().game.first_tasks()}
    assert errors.game.seeds_from(first[ERRORS]) == [first[ERRORS]]
