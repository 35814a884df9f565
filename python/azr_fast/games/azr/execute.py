"""Running programs in the sandbox. Nothing else in the game does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azr_fast.games.azr.programs import ENTRY
from azr_fast.games.azr.refusal import Failed
from azr_fast.games.azr.tasks import NO_ERROR
from azr_fast.sandbox import values
from azr_fast.sandbox.client import AsyncClient
from azr_fast.sandbox.messages import CallReply, Result

# Codes of ours for the daemon's own reasons of the verdict `error`: a class of a program may have
# the same name.
_ERROR_CODES = {"NotPlainValue": "not_plain", "BadArgument": "bad_input"}


@dataclass(frozen=True, slots=True)
class Executor:
    """Calls `f` of a program, `replicas` times over in interpreters that hash differently."""

    client: AsyncClient
    replicas: int
    max_value_chars: int

    async def outputs(self, program: str, arguments: Sequence[str]) -> list[str]:
        """Canonical text of `f`'s value for each argument list, each called in a fresh process: a
        program that remembers earlier calls would give values that depend on their order.

        Raises Failed for the program or the first case that is not ok, with the daemon's verdict
        as the code, or not_plain, bad_input, value_too_long.
        """
        reply = await self.client.call(
            program, ENTRY, arguments, replicas=self.replicas, isolate=len(arguments) > 1
        )
        if reply.verdict != "ok":
            raise _failure(reply)
        return [self._value(result) for result in reply.results]

    async def error(self, program: str, arguments: str) -> str:
        """The name of the class of the exception that `f` raises, or NoError.

        Raises Failed for a program that cannot be loaded, and for what ends otherwise: by a limit
        of the sandbox, or with a value that is not plain.
        """
        reply = await self.client.call(program, ENTRY, [arguments], replicas=self.replicas)
        if reply.verdict != "ok":
            raise _failure(reply)
        (result,) = reply.results
        if result.verdict == "error" and result.type is not None:
            if not result.type.isidentifier() or len(result.type) > self.max_value_chars:
                raise Failed("not_plain", "an exception whose class has no plain name")
            return result.type
        self._value(result)
        return NO_ERROR

    def _value(self, result: Result) -> str:
        if result.verdict != "ok":
            raise _failure(result)
        if result.value is None:  # a program may forge what its own process says
            raise Failed("crash", "ok without a value")
        check_length(result.value, self.max_value_chars)
        try:
            return values.canonical(values.parse(result.value))
        except ValueError as error:
            raise Failed("not_plain", str(error)) from None


def check_length(canonical: str, limit: int) -> None:
    """Raise Failed for a value whose text is over the limit: it is refused, never cut."""
    if len(canonical) > limit:
        raise Failed("value_too_long", f"{len(canonical)} characters, the limit is {limit}")


def _failure(outcome: CallReply | Result) -> Failed:
    code = outcome.verdict
    if code == "error" and outcome.reason is not None:
        code = _ERROR_CODES.get(outcome.reason, code)
    where = f" (line {outcome.line})" if outcome.line else ""
    told = [part for part in (outcome.type, outcome.reason, outcome.message) if part]
    return Failed(code, ": ".join(told) + where)
