"""Checking tasks of a file: a task is what its program gives, whatever the file says."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel, ConfigDict, ValidationError

from azr_fast.games.azr import programs
from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.gate import Gate
from azr_fast.games.azr.refusal import Failed, Malformed
from azr_fast.games.azr.tasks import ERRORS, triplet
from azr_fast.sandbox import values
from azr_fast.sandbox.equality import equal
from azr_fast.types import Task


class _Payload(BaseModel):
    """What of a payload is read; the rest is made anew."""

    model_config = ConfigDict(strict=True)

    program: str


class _Triplet(_Payload):
    input: str
    output: str


class _Induction(_Payload):
    pairs: list[tuple[str, str]]
    message: str


async def verify(task: Task, gate: Gate, config: GameConfig) -> Task:
    """The task as the gate makes it of the file's program and inputs, with a key of its own.

    Raises Malformed for a payload that cannot be read, and Failed where the gate would reject it or
    the outputs are not those of the file.
    """
    try:
        if task.kind == "induction":
            return await _induction(task, _Induction.model_validate(_lists(task)), gate, config)
        return await _triplet(task, _Triplet.model_validate(_lists(task)), gate)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Malformed("bad_payload", f"{where}: {first['msg']}") from None


async def _triplet(task: Task, told: _Triplet, gate: Gate) -> Task:
    found = await gate.triplet(task.kind, told.program, told.input, task.parents)
    _compare(task.kind, told.output, str(found.payload["output"]))
    return found


async def _induction(task: Task, told: _Induction, gate: Gate, config: GameConfig) -> Task:
    program = programs.inspect(told.program, config.forbidden_modules, config.max_program_chars)
    about = triplet("deduction", program, "", "", novelty=config.novelty)
    inputs = [arguments for arguments, _ in told.pairs]
    found = await gate.induction(about, inputs, told.message)
    outputs = [output for _, output in _Induction.model_validate(_lists(found)).pairs]
    for (_, expected), output in zip(told.pairs, outputs, strict=True):
        _compare(task.kind, expected, output)
    return replace(found, parents=task.parents)


def _lists(task: Task) -> dict[str, object]:
    """The payload with its pairs as tuples, which JSON does not have."""
    payload: dict[str, object] = dict(task.payload)
    pairs = payload.get("pairs")
    if isinstance(pairs, list):
        payload["pairs"] = [tuple(pair) if isinstance(pair, list) else pair for pair in pairs]
    return payload


def _compare(kind: str, told: str, found: str) -> None:
    """Raise Failed unless both are the same value, or the same exception's name."""
    try:
        same = told == found if kind == ERRORS else equal(values.parse(told), values.parse(found))
    except ValueError as error:
        raise Malformed("bad_literal", f"{told[:100]!r}: {error}") from None
    if not same:
        raise Failed("wrong_output", f"the file says {told[:100]}, it is {found[:100]}")
