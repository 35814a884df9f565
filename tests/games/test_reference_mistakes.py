"""Faults measured in the public reference implementation of the paper, each kept out by a test.

Numbers are those of docs/reference-mistakes; the ones that belong to the buffers, the loop, the
trainer and the daemon are tested beside those.
"""

import pytest

from azr_fast.types import Status

DOUBLE = "def f(x):\n    return x * 2"


def propose(play, program, arguments="1"):
    return play.propose(play.blocks(python=program, input=arguments))


@pytest.mark.parametrize(
    "program",
    [
        "def f(x):\n    return id(object())",
        "def f(x):\n    return hash('a')",
        "def f(x):\n    return list({'word' + c for c in 'abcdefghijkl'})",
        "def f(x):\n    return str(object())",
    ],
)
def test_01_determinism_check_rejects_nothing(play, program):
    judgement = propose(play, program)
    assert (judgement.status, judgement.code) == (Status.REJECTED, "nondeterministic")
    assert judgement.task is None


def test_02_gold_outputs_are_cut_at_400_characters(play):
    task = propose(play, "def f(x):\n    return list(range(x))", "300").task
    assert task.payload["output"] == repr(list(range(300)))
    assert play.solve(task, play.blocks(output=repr(list(range(300))))).status is Status.PASSED
    assert propose(play, "def f(x):\n    return list(range(x))", "3000").code == "value_too_long"


def test_03a_abduction_answer_closes_the_call(play):
    task = play.triplet("abduction", "def f(x):\n    return x == [1]", "[1]", "True")
    judgement = play.solve(task, play.blocks(input="[9]) or (True"))
    assert (judgement.status, judgement.code) == (Status.MALFORMED, "bad_literal")


@pytest.mark.parametrize(
    "said", ["eval(gold_output)", "__import__('os').getpid()", "open('x', 'w')", "gold_output"]
)
def test_03b_deduction_answer_is_evaluated_in_the_trainer(play, said):
    task = play.triplet("deduction", DOUBLE, "1", "2")
    judgement = play.solve(task, play.blocks(output=said))
    assert (judgement.status, judgement.code) == (Status.MALFORMED, "bad_literal")


ALWAYS_EQUAL = """\
class Same({base}):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __repr__(self): return '2'
def f(x):
    return {value}
"""


@pytest.mark.parametrize(
    ("base", "value"),
    [("object", "Same()"), ("int", "Same(5)"), ("str", "Same('2')"), ("list", "[Same()]")],
)
def test_03c_induction_program_returns_what_equals_everything(play, base, value):
    task = play.induction(DOUBLE, [("1", "2"), ("2", "4"), ("3", "6"), ("4", "8")])
    judgement = play.solve(task, play.blocks(python=ALWAYS_EQUAL.format(base=base, value=value)))
    assert (judgement.status, judgement.code) == (Status.WRONG, "not_plain")


def test_03d_program_poisons_the_comparison(play):
    program = (
        "import builtins\nbuiltins.repr = lambda x: '6'\nbuiltins.all = lambda x: True\n"
        "def f(x):\n    return 0"
    )
    task = play.induction(DOUBLE, [("1", "2"), ("2", "4"), ("3", "6"), ("4", "8")])
    assert play.solve(task, play.blocks(python=program)).status is Status.WRONG


@pytest.mark.parametrize(
    "line", ["import os", "import os.path", "from os import path", "import multiprocessing.pool"]
)
def test_04a_forbidden_names_never_match(play, line):
    judgement = propose(play, f"{line}\n{DOUBLE}")
    assert (judgement.status, judgement.code) == (Status.REJECTED, "forbidden_module")


@pytest.mark.parametrize(
    "body",
    [
        "import socket; return socket.socket().fileno() > 0",
        "return open('/tmp/azr-mark', 'w').write('x')",
    ],
)
def test_04b_sockets_and_files_pass(play, body):
    assert propose(play, f"def f(x):\n    {body}").status is Status.REJECTED


def test_04c_state_leaks_between_programs(play):
    poison = "import builtins, math\nbuiltins.len = lambda x: 99\nmath.pi = 3\n" + DOUBLE
    for _ in range(8):  # more than there are interpreters
        assert propose(play, poison).status is Status.PASSED
    clean = "import math\ndef f(x):\n    return len(x), math.pi"
    assert propose(play, clean, "'ab'").task.payload["output"] == "(2, 3.141592653589793)"


def test_05_a_second_def_is_rejected(play):
    program = (
        "class Stack:\n    def __init__(self):\n        self.items = []\n"
        "def helper(x):\n    return x + 1\n"
        "def f(x):\n    def inner(y):\n        return helper(y)\n    return inner(x)"
    )
    assert propose(play, program).task.payload["output"] == "2"


def test_12_no_deduplication(play, buffer):
    spellings = [DOUBLE, "def f(x):  # again\n    return (x * 2)", f'"""Doc."""\n{DOUBLE}\n']
    tasks = [propose(play, text, "1").task for text in spellings]
    assert [buffer.add(task, 0) for task in tasks] == [True, False, False]
    source = tasks[0]
    for _ in range(2):
        text = "\n".join(f"```input\n{n}\n```" for n in range(4)) + "\n```message\nm\n```"
        tasks.append(play.propose(text, "induction", source).task)
    assert [buffer.add(task, 0) for task in tasks[3:]] == [True, False]


def test_14_an_input_block_before_the_code_fails_and_a_trailing_example_replaces_the_answer(play):
    before = play.blocks(input="3", python=DOUBLE)
    assert play.propose(before).task.payload["output"] == "6"
    trailing = before + "\nFor example:\n```python\nprint(f(3))\n```\n```output\n6\n```"
    assert play.propose(trailing).task.payload["program"] == DOUBLE
    tagged = f"<answer>\n{before}\n</answer>\nSee also:\n```python\ndef f(x):\n    return 0\n```"
    assert play.propose(tagged).task.payload["program"] == DOUBLE
    task = play.induction(DOUBLE, [("1", "2"), ("2", "4"), ("3", "6"), ("4", "8")])
    solved = play.blocks(python=DOUBLE) + "\nUsage:\n```python\nf(3)\n```"
    assert play.solve(task, solved).status is Status.PASSED


@pytest.mark.parametrize(
    ("program", "output"),
    [
        ("def f(x):\n    return x * float('nan')", "nan"),
        ("def f(x):\n    return [x * float('inf'), -float('inf')]", "[inf, -inf]"),
    ],
)
def test_16a_nan_and_inf_can_never_be_right(play, program, output):
    task = propose(play, program).task
    assert task.payload["output"] == output
    assert play.solve(task, play.blocks(output=output)).status is Status.PASSED
    backwards = play.triplet("abduction", program, "1", output)
    assert play.solve(backwards, play.blocks(input="2")).status is Status.PASSED


def test_16b_objects_of_program_classes_are_accepted_as_gold(play):
    program = "class Point:\n    pass\ndef f(x):\n    return Point()"
    judgement = propose(play, program)
    assert (judgement.status, judgement.code) == (Status.REJECTED, "not_plain")
