"""Tasks of the game: how they are made, keyed and read.

Payloads hold canonical texts (Python literals), never live values:
deduction and abduction: program, program_key, input (an argument list), output;
error_deduction: the same, but that its output is the name of an exception class, or NoError;
induction: program, program_key, pairs [[input, output], …], message, shown (pairs a solver sees).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast

from azr_fast.games.azr.programs import Program, inspect
from azr_fast.games.azr.shape import shape_key
from azr_fast.types import JSON, Task

Pair = tuple[str, str]  # canonical texts: an argument list and what it gives

SEED_KINDS = ("deduction", "abduction")  # a valid triplet seeds both, and induction is about them
ERRORS = "error_deduction"
NO_ERROR = "NoError"

_VISIBLE = {
    "deduction": ("program", "input"),
    "abduction": ("program", "output"),
    "induction": ("message",),
    ERRORS: ("program", "input"),
}


def triplet(
    kind: str,
    program: Program,
    arguments: str,
    output: str,
    parents: tuple[str, ...] = (),
    novelty: str = "program",
) -> Task:
    """A task of any type but induction. `arguments` and `output` are canonical texts.

    Its key is the program's; with `novelty` "example" the same program with another input is a new
    task, with "shape" a program that differs in names and constants is none.
    """
    payload: dict[str, JSON] = {
        "program": program.text,
        "program_key": program.key,
        "input": arguments,
        "output": output,
    }
    key = _program_key(program.text, program.key, novelty)
    return Task(kind, _key(key, arguments) if novelty == "example" else key, payload, parents)


def identity(kind: str, novelty: str = "program") -> Task:
    """The one task that nobody has to propose (paper, figure 5)."""
    program = inspect("def f(x):\n    return x", (), max_chars=100)
    output = NO_ERROR if kind == ERRORS else "'Hello World'"
    return triplet(kind, program, "'Hello World'", output, novelty=novelty)


def identity_induction(pairs: int, novelty: str) -> Task:
    """The identity function as an induction task."""
    inputs = ["'Hello World'", *(str(number) for number in range(1, pairs))]
    given_back = [(one, one) for one in inputs]
    return induction(
        identity("deduction", novelty), given_back, "It comes back as it went.", novelty
    )


def induction(source: Task, pairs: Sequence[Pair], message: str, novelty: str = "program") -> Task:
    """An induction task about the program of `source`; the first half of the pairs is shown.

    The message is no part of the key: the same program over the same inputs is the same problem.
    """
    program, program_key = str(source.payload["program"]), str(source.payload["program_key"])
    payload: dict[str, JSON] = {
        "program": program,
        "program_key": program_key,
        "pairs": [list(pair) for pair in pairs],
        "message": message,
        "shown": len(pairs) // 2,
    }
    arguments = sorted(arguments for arguments, _ in pairs)
    key = _key(_program_key(program, program_key, novelty), *arguments)
    return Task("induction", key, payload, (source.key,))


def visible(task: Task) -> dict[str, str]:
    """What a solver may see of a task, beside the shown pairs of an induction task."""
    return {name: str(task.payload[name]) for name in _VISIBLE[task.kind]}


def shown_pairs(task: Task) -> list[Pair]:
    """The (input, output) pairs of an induction task that its solver sees."""
    return _pairs(task)[: cast(int, task.payload["shown"])]


def hidden_pairs(task: Task) -> list[Pair]:
    """The (input, output) pairs of an induction task that its solver is graded on."""
    return _pairs(task)[cast(int, task.payload["shown"]) :]


def _pairs(task: Task) -> list[Pair]:
    pairs = cast(list[list[str]], task.payload["pairs"])
    return [(arguments, output) for arguments, output in pairs]


def _program_key(text: str, key: str, novelty: str) -> str:
    return shape_key(text) if novelty == "shape" else key


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
