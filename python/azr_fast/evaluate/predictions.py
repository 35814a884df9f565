"""What a program gives for an input, and which input gives an output: reading and judging both."""

from __future__ import annotations

import ast

from azr_fast.evaluate.answers import defined_names, expression, tagged, without_thought
from azr_fast.evaluate.closeness import may_be_close
from azr_fast.evaluate.harness import call_function
from azr_fast.evaluate.literals import call_of_equation, check_parts, value_of_equation
from azr_fast.evaluate.programs import Budget, Programs
from azr_fast.games.azr.parse import read_block
from azr_fast.games.azr.refusal import Failed, Malformed
from azr_fast.sandbox.equality import equal
from azr_fast.sandbox.values import canonical, canonical_arguments, parse, parse_arguments

BUDGET = Budget(cpu_seconds=5.0)
_ANSWER = "azr_answer"
_SHOWN = 1000  # characters of a value
# Names that an expression may use beside Python's own.
_NAMES = (
    "from collections import Counter, OrderedDict, defaultdict, deque\nfrom math import inf, nan\n"
)


def said_in(answer: str, form: str, block: str) -> str:
    """The part of an answer that says a value: a fenced block in the forms of the AZR game, the
    last answer tag in the others, or the last line that is not empty. Raises Malformed."""
    if form in ("compact", "full"):
        return read_block(answer, False, block)
    text = tagged(answer)
    if text is None:
        lines = without_thought(answer).strip().splitlines()
        text = lines[-1] if lines else ""
    if not text.strip("`\n "):
        raise Malformed("no_answer", answer[-200:])
    return text.removeprefix("```python").strip("`\n ")


async def judge_output(programs: Programs, text: str, expected: str) -> None:
    """Is the value that is said the expected one? Raises Malformed or Failed."""
    value = await _value(programs, value_of_equation(text))
    if not _same(value, await _value(programs, expected)):
        raise Failed("wrong_output", value[:_SHOWN])


async def judge_input(programs: Programs, text: str, code: str, function: str, out: str) -> None:
    """Does the function return the output for what is said? Raises Malformed or Failed."""
    call = call_of_equation(text, function)
    found = await _called(programs, call, code, function)
    if not _same(found, await _value(programs, out)):
        raise Failed("wrong_output", f"{ast.unparse(call)[:_SHOWN]} gave {found[:_SHOWN]}")


def _same(value: str, expected: str) -> bool:
    return may_be_close(value, expected) and equal(parse(value), parse(expected))


async def _value(programs: Programs, text: str) -> str:
    """The canonical text of a literal, or of an expression that the sandbox evaluates."""
    try:
        return canonical(parse(text))
    except ValueError:
        check_parts(expression(text))
    return await _evaluated(programs, _NAMES, ast.unparse(expression(text)))


async def _called(programs: Programs, call: ast.Call, code: str, function: str) -> str:
    literals = _literal_arguments(call)
    if literals is not None:
        (value,) = await call_function(programs, code, function, [literals], BUDGET)
        return value
    for part in (*call.args, *(keyword.value for keyword in call.keywords)):
        check_parts(part, defined_names(code))
    return await _evaluated(programs, f"{code}\n{_NAMES}", ast.unparse(call))


def _literal_arguments(call: ast.Call) -> str | None:
    """The canonical text of arguments that are literals; None where they are more."""
    if call.keywords:
        return None
    try:
        arguments = parse_arguments(", ".join(ast.unparse(argument) for argument in call.args))
    except ValueError:
        return None
    return canonical_arguments(arguments)


async def _evaluated(programs: Programs, program: str, text: str) -> str:
    program = f"{program}\ndef {_ANSWER}():\n    return {text}\n"
    (value,) = await call_function(programs, program, _ANSWER, [""], BUDGET)
    return value
