"""What CALL returns is what plain CPython computes: texts of values, and errors."""

from __future__ import annotations

import ast
from typing import Any

from .conftest import Daemon
from .equality import CASES, plain_answers
from .equality.plain import Answer, text_of

PLAIN_TYPES = {
    "NoneType", "bool", "int", "float", "complex", "str", "bytes", "list", "tuple", "dict", "set",
    "frozenset",
}  # fmt: skip


def same_python(daemon: Daemon) -> str:
    """The interpreter that the daemon embeds, as a command."""
    program = "import sys\ndef f(): return sys.base_prefix, sys.version_info[:2]"
    prefix, (major, minor) = ast.literal_eval(daemon.call(program, "")["results"][0]["value"])
    return f"{prefix}/bin/python{major}.{minor}"


def answer_of(reply: dict[str, Any]) -> Answer:
    (result,) = reply["results"]
    said = result if reply["verdict"] == "ok" else reply
    return result["value"], said["type"], said["message"]


def daemon_answers(daemon: Daemon) -> list[Answer]:
    with daemon.connect() as client:
        pipe = client.pipeline(transaction=False)
        for program, arguments in CASES:
            pipe.execute_command("CALL", program, "f", 1, arguments, "TIMEOUT", 60_000)
        return [answer_of(reply) for reply in pipe.execute()]


def types_in(text: str) -> set[str]:
    """Of a value and everything in it."""
    space = {"nan": float("nan"), "inf": float("inf"), "__builtins__": {}}
    space |= {"set": set, "frozenset": frozenset, "complex": complex}
    found, left = set(), [eval(text, space)]
    while left:
        value = left.pop()
        found.add(type(value).__name__)
        if isinstance(value, dict):
            left += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            left += value
    return found


def test_values_are_those_of_plain_python(daemon: Daemon) -> None:
    expected = plain_answers(same_python(daemon), CASES)
    answers = daemon_answers(daemon)
    pairs = zip(CASES, answers, expected, strict=True)
    assert [pair for pair in pairs if pair[1] != pair[2]] == []
    values = {value for value, _, _ in expected if value is not None}
    assert len(set(CASES)) >= 700
    assert len(values) >= 600
    assert len({kind for _, kind, _ in expected}) > 8
    assert set().union(*map(types_in, values)) == PLAIN_TYPES


def test_the_canonical_text_is_a_literal() -> None:
    """The other writer of it, by which the daemon's is judged."""
    for value in (-1j, -0.0, (1,), set(), frozenset(), {1: {2}}, "é'\n", b"\xff", 1 + 2j):
        assert eval(text_of(value)) == value
