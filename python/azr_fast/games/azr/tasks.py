"""Tasks of the game: how they are made, keyed and read.

Payloads hold canonical texts (Python literals), never live values:
deduction and abduction: program, program_key, input (an argument list), output;
induction: program, program_key, pairs [[input, output], …], message, shown (pairs a solver sees).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast

from azr_fast.games.azr.programs import Program, inspect
from azr_fast.types import JSON, Task

Pair = tuple[str, str]  # canonical texts: an argument list and what it gives

_VISIBLE = {
    "deduction": ("program", "input"),
    "abduction": ("program", "output"),
    "induction": ("message",),
}


def triplet(
    kind: str, program: Program, arguments: str, output: str, parents: tuple[str, ...] = ()
) -> Task:
    """A deduction or abduction task. `arguments` and `output` are canonical texts.

    The key is the program's: the same program with another input is no new task.
    """
    payload: dict[str, JSON] = {
        "program": program.text,
        "program_key": program.key,
        "input": arguments,
        "output": output,
    }
    return Task(kind, program.key, payload, parents)


def identity(kind: str) -> Task:
    """The one task that nobody has to propose (paper, figure 5)."""
    program = inspect("def f(x):\n    return x", (), max_chars=100)
    return triplet(kind, program, "'Hello World'", "'Hello World'")


def induction(source: Task, pairs: Sequence[Pair], message: str) -> Task:
    """An induction task about the program of `source`; the first half of the pairs is shown.

    The message is no part of the key: the same program over the same inputs is the same problem.
    """
    program_key = str(source.payload["program_key"])
    payload: dict[str, JSON] = {
        "program": source.payload["program"],
        "program_key": program_key,
        "pairs": [list(pair) for pair in pairs],
        "message": message,
        "shown": len(pairs) // 2,
    }
    key = _key(program_key, *sorted(arguments for arguments, _ in pairs))
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


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
