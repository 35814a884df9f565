import json
from dataclasses import replace

import pytest

from azr_fast.games.azr.gate import argument_lists
from azr_fast.types import Source, Status

DOUBLE = "def f(x):\n    return x * 2"


def proposal(play, program, arguments):
    return play.blocks(python=program, input=arguments)


def inputs_text(*inputs, message="what is it?"):
    return "\n".join(f"```input\n{i}\n```" for i in inputs) + f"\n```message\n{message}\n```"


@pytest.mark.parametrize("kind", ["deduction", "abduction"])
def test_a_valid_proposal_becomes_a_task(play, kind):
    judgement = play.propose(proposal(play, DOUBLE, "[1,'a',]"), kind)
    assert (judgement.status, judgement.code) == (Status.PASSED, "ok")
    task = judgement.task
    assert task.kind == kind
    assert task.payload["program"] == DOUBLE
    assert task.payload["input"] == "[1, 'a']"
    assert task.payload["output"] == "[1, 'a', 1, 'a']"
    assert json.loads(json.dumps(dict(task.payload))) == task.payload


def test_the_parents_of_a_task_are_what_its_proposer_saw(player, play):
    seen = play.triplet("deduction", DOUBLE, "1", "2")
    judgement = player.propose(Source("deduction", (seen,)), proposal(play, DOUBLE, "3"))
    assert judgement.task.parents == (seen.key,)


def test_helpers_classes_and_inner_functions_run(play):
    program = (
        "import math\nclass Box:\n    def __init__(self, v):\n        self.v = v\n"
        "def helper(b):\n    return b.v\n"
        "def f(x, y):\n    def inner(z):\n        return math.floor(z)\n    return inner(helper(Box(x))) + y"
    )
    assert play.propose(proposal(play, program, "2.5, 1")).task.payload["output"] == "3"


@pytest.mark.parametrize(
    ("program", "arguments", "code"),
    [
        ("def f(x:", "1", "syntax_error"),
        ("def g(x):\n    return x", "1", "no_entry_function"),
        ("import os.path\ndef f(x):\n    return x", "1", "forbidden_module"),
        (DOUBLE, "open('x')", "bad_input"),
        (DOUBLE, "x", "bad_input"),
        (DOUBLE, "f(3)", "bad_input"),
        (DOUBLE, "x=3", "bad_input"),
        (DOUBLE, "1)or(2", "bad_input"),
        ("def f(x=1):\n    return x", "", "no_arguments"),
        (DOUBLE, "1, 2", "error"),
        ("def f(x):\n    return 1 / x", "0", "error"),
        ("return 1\ndef f(x):\n    return x", "0", "error"),
        ("def f(x):\n    while True: pass", "0", "timeout"),
        ("def f(x):\n    return [0] * (1 << 40)", "0", "memory"),
        ("def f(x):\n    return 'x' * 10_000_000", "0", "output"),
        ("def f(x):\n    return 'x' * 3000", "0", "value_too_long"),
        ("def f(x):\n    return len(x)", repr("x" * 3000), "value_too_long"),
        ("def f(x):\n    return 0", "1", "ignored_argument"),
        ("def f(a, *, b=2, **c):\n    b = 3\n    return a, b", "1", "ignored_argument"),
        ("def f(x):\n    return object()", "0", "not_plain"),
        ("def f(x):\n    return f", "0", "not_plain"),
        ("def f(x):\n    return (y for y in x)", "[1]", "not_plain"),
        ("def f(x):\n    return id(object())", "0", "nondeterministic"),
        ("def f(x):\n    return list({x + c for c in 'abcdefghijkl'})", "'e'", "nondeterministic"),
        ("import ctypes\ndef f(x):\n    return ctypes.string_at(0)", "0", "crash"),
    ],
)
def test_each_rejection_has_its_code(play, program, arguments, code):
    judgement = play.propose(proposal(play, program, arguments))
    assert (judgement.status, judgement.code) == (Status.REJECTED, code), judgement.evidence
    assert judgement.task is None
    assert judgement.evidence or code in {"timeout", "memory", "output", "crash"}


def test_a_program_that_is_too_long_is_rejected_not_cut(play):
    long = DOUBLE + "\n# " + "x" * 5000
    assert play.propose(proposal(play, long, "1")).code == "too_long"


def test_an_unreadable_proposal_is_malformed(play):
    for kind in ("deduction", "abduction", "induction"):
        judgement = play.propose("I would rather not.", kind)
        assert (judgement.status, judgement.code) == (Status.MALFORMED, "no_answer")
    cut_off = play.propose(proposal(play, DOUBLE, "1"), truncated=True)
    assert (cut_off.status, cut_off.code) == (Status.MALFORMED, "truncated")


def test_values_at_the_limit_pass_whole(play):
    text = "x" * 1998
    judgement = play.propose(proposal(play, "def f(x):\n    return x", repr(text)))
    assert judgement.task.payload["output"] == repr(text)


def test_the_same_program_in_another_spelling_or_with_another_input_is_no_new_task(play):
    one = play.propose(proposal(play, DOUBLE, "[1,2]")).task
    same = play.propose(
        proposal(play, 'def f( x ):\n  "Twice."\n  return (x * 2)  # so', "[ 1, 2 ]")
    ).task
    other_input = play.propose(proposal(play, DOUBLE, "[2, 1]")).task
    other_program = play.propose(proposal(play, "def f(x):\n    return x * 3", "[1,2]")).task
    assert one.key == same.key == other_input.key != other_program.key


def test_a_valid_induction_proposal_becomes_a_task(play):
    source = play.triplet("deduction", DOUBLE, "1", "2")
    judgement = play.propose(inputs_text("1", "'a'", "[2]", "4"), "induction", source)
    task = judgement.task
    assert task.payload["pairs"] == [["1", "2"], ["'a'", "'aa'"], ["[2]", "[2, 2]"], ["4", "8"]]
    assert (task.payload["shown"], task.payload["message"]) == (2, "what is it?")
    assert task.payload["program"] == DOUBLE
    assert task.parents == (source.key,)
    again = play.propose(inputs_text("4", "1", "'a'", "[2]", message="m"), "induction", source)
    assert again.task.key == task.key


@pytest.mark.parametrize(
    "program",
    [
        "def f(x, acc=[]):\n    acc.append(x)\n    return acc",
        "seen = []\ndef f(x):\n    seen.append(x)\n    return seen",
    ],
)
def test_a_program_that_remembers_calls_gives_a_task_that_can_be_solved(play, program):
    """Shown and hidden pairs do not depend on which inputs came before."""
    source = play.triplet("deduction", program, "1", "[1]")
    task = play.propose(inputs_text("1", "2", "3", "4"), "induction", source).task
    assert [output for _, output in task.payload["pairs"]] == ["[1]", "[2]", "[3]", "[4]"]
    for solution in (program, "def f(x):\n    return [x]"):
        assert play.solve(task, play.blocks(python=solution)).status is Status.PASSED


def test_inputs_may_stand_one_to_a_line(play):
    source = play.triplet("deduction", DOUBLE, "1", "2")
    judgement = play.propose(inputs_text("1\n2\n'a'\n'b'"), "induction", source)
    assert [pair[0] for pair in judgement.task.payload["pairs"]] == ["1", "2", "'a'", "'b'"]


def test_lines_that_are_not_argument_lists_are_one_input():
    assert argument_lists(["[1,\n 2]", "1,\n2", "1\n2"]) == ["[1,\n 2]", "1,\n2", "1", "2"]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        (("1", "2", "3"), "too_few_inputs"),
        (("1", "2", "3", "3"), "duplicate_inputs"),
        (("[1,2]", "2", "3", "[1, 2]"), "duplicate_inputs"),
        (("1", "2", "3", "x"), "bad_input"),
        (("1", "2", "3", "None"), "error"),
        (("1", "2", "3", "''"), "no_arguments"),
        (("1", "2", "3", "'abc' , 2"), "error"),
        (("1", "2", "3", repr("x" * 1500)), "value_too_long"),
    ],
)
def test_every_input_of_an_induction_task_must_pass(play, inputs, code):
    source = play.triplet("deduction", DOUBLE, "1", "2")
    inputs = tuple("" if text == "''" else text for text in inputs)
    judgement = play.propose(inputs_text(*inputs), "induction", source)
    assert (judgement.status, judgement.code) == (Status.REJECTED, code), judgement.evidence


def test_induction_pairs_must_differ_in_output(play):
    source = play.triplet("deduction", "def f(x):\n    return x > 0", "1", "True")
    judgement = play.propose(inputs_text("1", "2", "3", "4"), "induction", source)
    assert judgement.code == "constant_outputs"
    assert play.propose(inputs_text("1", "2", "3", "-4"), "induction", source).task


def test_constants_can_be_allowed_as_in_the_paper(make_player, play):
    free = make_player(input_must_matter=False)
    text = proposal(play, "def f(x):\n    return 0", "1")
    assert free.propose(Source("deduction"), text).task


def test_more_inputs_than_asked_for_are_ignored(play):
    source = play.triplet("deduction", DOUBLE, "1", "2")
    judgement = play.propose(inputs_text("1", "2", "3", "4", "5", "x"), "induction", source)
    assert len(judgement.task.payload["pairs"]) == play.pairs


def test_an_endless_message_is_rejected(play):
    text = inputs_text("1", "2", "3", "4", message="m" * 2001)
    assert play.propose(text, "induction").code == "message_too_long"


def test_modules_can_be_allowed(make_player, play):
    free = make_player(forbidden_modules=())
    text = proposal(play, "import calendar\ndef f(x):\n    return calendar.isleap(x)", "2024")
    judgement = free.propose(Source("deduction"), text)
    assert judgement.task.payload["output"] == "True"


def test_first_tasks_are_what_the_gate_makes_of_the_identity(player, play):
    first = player.game.first_tasks()
    assert [task.kind for task in first] == ["deduction", "abduction"]
    for task in first:
        gated = play.propose(
            proposal(play, "def f(x):\n    return x", "'Hello World'"), task.kind
        ).task
        assert replace(gated, checks=()) == task  # which nobody had to check


def test_a_triplet_seeds_both_kinds_and_an_induction_task_its_own(player, play):
    task = play.propose(proposal(play, DOUBLE, "1"), "abduction").task
    seeds = player.game.seeds_from(task)
    assert [seed.kind for seed in seeds] == ["deduction", "abduction"]
    assert {seed.key for seed in seeds} == {task.key}
    about = play.induction(DOUBLE, [("1", "2"), ("2", "4")])
    assert list(player.game.seeds_from(about)) == [about]
