"""Programs of benchmarks in azr-sandboxd. The limits are of CPU time, so that a busy machine gives
the same verdicts. The wall clock is only a bound on programs that wait: what it ends at work runs
again with more of it."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec

from azr_fast.games.azr.refusal import Failed
from azr_fast.sandbox.client import AsyncClient
from azr_fast.sandbox.launcher import Sandbox
from azr_fast.sandbox.messages import CallReply, Limits, Result, RunReply, call_reply, run_reply

NUMERIC = "numeric"  # the pool whose programs can import numpy
_LONGEST = Limits(timeout_ms=2_400_000, memory_bytes=4 << 30, output_bytes=32 << 20)
# The wall clock, as times the CPU time and seconds on top: the first bound, and those of a program
# that was at work all the time and got too little of a busy machine.
_FIRST_WALL, _MORE_WALL = (2, 5), (16, 64)
_AT_WORK = 0.01  # of the wall clock: a program that waits uses next to nothing


@dataclass(frozen=True, slots=True)
class Budget:
    """What one program may use."""

    cpu_seconds: float = 5.0
    memory_mib: int = 1024
    pool: str = ""

    def words(self) -> Iterator[list[str | int]]:
        """The options of a job, and of the same job with more of the wall clock. A program's random
        numbers are the same each time."""
        factor, more = _FIRST_WALL
        yield self._words(self.cpu_seconds * factor + more)
        for factor in _MORE_WALL:
            yield self._words(self.cpu_seconds * factor)

    def starved(self, reply: CallReply | RunReply) -> bool:
        """Whether the wall clock ended a program that was at work below its limit."""
        ended = {reply.verdict, *(one.verdict for one in getattr(reply, "results", ()))}
        cpu, wall = (reply.cpu_us or 0) / 1e6, (reply.wall_us or 0) / 1e6
        return "timeout" in ended and _AT_WORK * wall < cpu < 0.9 * self.cpu_seconds

    def _words(self, wall: float) -> list[str | int]:
        return [
            *(
                "TIMEOUT",
                min(round(1000 * wall), _LONGEST.timeout_ms),
                "CPU",
                round(1000 * self.cpu_seconds),
            ),
            *("MEMORY", self.memory_mib << 20, "OUTPUT", _LONGEST.output_bytes, "SEED", 0),
            *(("POOL", self.pool) if self.pool else ()),
        ]


class GradingSandbox(Sandbox):
    """A daemon that has, beside the usual zygotes, a pool with numpy where numpy is installed."""

    def _arguments(self) -> list[str]:
        return [*super()._arguments(), *_pool()]


def _pool() -> list[str]:
    if find_spec("numpy") is None:
        return []
    folder = sysconfig.get_paths()["platlib"]
    return ["--path", folder, "--pools", f"{NUMERIC}=2:numpy"]


class Programs(AsyncClient):
    """Runs what models wrote, and what benchmarks' authors did, in a `GradingSandbox`.

    A context manager of its own daemon is `open_programs`. What does not come to a value raises
    Failed with the daemon's verdict as its code: timeout, memory, error, crash, ...
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, _LONGEST, connections=4 * (os.cpu_count() or 1))

    async def values(
        self, program: str, entry: str, arguments: Sequence[str], budget: Budget
    ) -> list[str]:
        """The canonical text of each call's value; the program is loaded once for all."""
        reply = await self.job(program, entry, arguments, budget)
        if reply.verdict != "ok":
            raise _failed(reply)
        return [_value(result) for result in reply.results]

    async def job(
        self, program: str, entry: str, arguments: Sequence[str], budget: Budget
    ) -> CallReply:
        """CALL with this budget."""
        words: list[str | int] = ["CALL", program, entry, len(arguments), *arguments]
        for options in budget.words():
            reply = call_reply(await self._ask(_encoded(words + options)))
            if not budget.starved(reply):
                break
        return reply

    async def output(self, script: str, stdin: str, budget: Budget) -> str:
        """What a script prints. An exit status that is not 0 is a failure."""
        for options in budget.words():
            words: list[str | int] = ["RUN", script, *options, "STDIN", stdin]
            reply = run_reply(await self._ask(_encoded(words)))
            if not budget.starved(reply):
                break
        if reply.verdict != "ok":
            raise _failed(reply)
        return (reply.stdout or b"").decode("utf-8", "replace")


def open_programs(stack: ExitStack, zygotes: int = 0) -> Programs:
    """Programs over a daemon that ends with the stack. Raises UserError when it does not start."""
    return Programs(stack.enter_context(GradingSandbox(zygotes)).path)


def _value(result: Result) -> str:
    if result.verdict != "ok" or result.value is None:
        raise _failed(result)
    return result.value


def _failed(outcome: CallReply | RunReply | Result) -> Failed:
    code = "crash" if outcome.verdict == "ok" else outcome.verdict
    if outcome.reason == "NotPlainValue":
        code = "not_plain"
    told = (outcome.type, outcome.reason, outcome.message)
    where = f" (line {outcome.line})" if outcome.line else ""
    return Failed(code, ": ".join(part for part in told if part) + where)


def _encoded(words: Sequence[str | int]) -> list[bytes]:
    """Lone surrogates travel on: the daemon refuses such a program."""
    return [str(word).encode("utf-8", "surrogatepass") for word in words]
