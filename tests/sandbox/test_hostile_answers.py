"""Answers that won against the reference implementation are data here, and lose.

The reference pasted a model's words into source and evaluated them in the trainer: the abduction
answer `[9]) or (True`, the deduction answer `eval(gold_output)` and an object whose `__eq__` is
always true all scored 1.0. nan and inf could never be right, and outputs were cut at 400 characters.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_fast.sandbox.equality import equal
from azr_fast.sandbox.values import canonical, parse, parse_arguments

CODE = [
    "[9]) or (True",
    "[9]) == f([9]) or f([9]",
    "1) or True or (1",
    "1)) or ((True",
    "*[9] or [True]",
    "eval(gold_output)",
    "gold_output",
    "output",
    "agent_output",
    "locals()['gold_output']",
    "globals()",
    "f(1)",
    "f",
    "__import__('os').system('touch /tmp/azr-owned')",
    "__import__('sys').exit()",
    "exec('import os')",
    "(lambda: True)()",
    "type('T', (), {'__eq__': lambda a, b: True})()",
    "[x for x in [1]][0]",
    "f'{gold_output}'",
    "(x := True)",
    "1 if gold_output else 1",
    "True or 1",
    "1 == 1",
    "().__class__.__base__.__subclasses__()",
    "print('x')",
    "breakpoint()",
    "2 ** 10 ** 10",
    "'a' * 10 ** 10",
    "1; import os",
    "1\nimport os",
    "import os",
    "True)\nassert (True",
    "'''\n1\n'''; True",
]


@pytest.fixture(scope="module")
def audit():
    """Events of the interpreter, while `watching`. An audit hook stays for good: one is enough."""
    state = SimpleNamespace(watching=False, events=[])

    def hook(event, _arguments):
        if state.watching:
            state.events.append(event)

    sys.addaudithook(hook)
    return state


@pytest.fixture
def no_side_effects(audit):
    """Fails the test when reading text imports, executes or opens anything."""
    audit.events.clear()
    audit.watching = True
    yield
    audit.watching = False
    assert not {"exec", "import", "open", "os.system", "subprocess.Popen"} & set(audit.events)
    assert "compile" in audit.events  # the hook works: ast.parse raises this one


@pytest.mark.parametrize("answer", CODE)
def test_code_is_no_deduction_answer(answer, no_side_effects):
    with pytest.raises(ValueError, match=r"\w"):
        parse(answer)


@pytest.mark.parametrize("answer", CODE)
def test_code_is_no_abduction_answer(answer, no_side_effects):
    with pytest.raises(ValueError, match=r"\w"):
        parse_arguments(answer)


@given(
    st.sampled_from(CODE),
    st.sampled_from(CODE),
    st.sampled_from(["{}, {}", "[{}, {}]", "{{{}: {}}}", "({}) + ({})", "{}({})", "{}\n{}"]),
)
def test_nor_is_code_within_a_literal(one, other, form):
    for read in (parse, parse_arguments):
        with pytest.raises(ValueError, match=r"\w"):
            read(form.format(one, other))


@pytest.mark.parametrize("answer", CODE)
def test_quoted_code_is_a_string(answer):
    assert parse(repr(answer)) == answer
    assert parse_arguments(f"{answer!r}, 1") == (answer, 1)


@pytest.mark.parametrize(
    "answer",
    [
        "nan",
        "inf",
        "-inf",
        "[nan, -inf]",
        "{'a': nan}",
        "float('nan')",
        "(nan, {nan})",
        "complex(nan, inf)",
    ],
)
def test_nan_and_inf_can_be_right(answer):
    assert equal(parse(answer), parse(canonical(parse(answer))))


@pytest.mark.parametrize("length", [399, 400, 401, 5000, 200_000])
def test_long_outputs_are_compared_whole(length):
    gold = "x" * length + "y"
    assert equal(parse(repr(gold)), gold)
    assert not equal(parse(repr("x" * length + "z")), gold)
    assert canonical(gold) == repr(gold)


def test_an_object_that_equals_everything_is_refused():
    class Always(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__

    for value in (Always(1), [Always(1)], {Always(1): 0}, {0: (Always(1),)}):
        with pytest.raises(ValueError, match="not a plain value: Always"):
            canonical(value)
