"""Programs of benchmarks in azr-sandboxd: the limits are of CPU time, so that a busy machine gives
the same verdicts; the wall clock is only a bound on programs that wait."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec

from azr_fast.games.azr.refusal import Failed
from azr_fast.sandbox.client import AsyncClient
from azr_fast.sandbox.launcher import Sandbox
from azr_fast.sandbox.messages import CallReply, Limits, Result, RunReply, call_reply, run_reply

NUMERIC = "numeric"  # the pool whose programs can import numpy
_LONGEST = Limits(timeout_ms=300_000, memory_bytes=4 << 30, output_bytes=32 << 20)
_WALL_FACTOR, _WALL_SECONDS = 5, 10


@dataclass(frozen=True, slots=True)
class Budget:
    """What one program may use."""

    cpu_seconds: float = 5.0
    memory_mib: int = 1024
    pool: str = ""

    def words(self) -> list[str | int]:
        """The options of a job. A program's random numbers are the same each time."""
        wall = min(self.cpu_seconds * _WALL_FACTOR + _WALL_SECONDS, _LONGEST.timeout_ms / 1000)
        return [
            *("TIMEOUT", round(1000 * wall), "CPU", round(1000 * self.cpu_seconds)),
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
        return call_reply(await self._ask(_encoded(words + budget.words())))

    async def output(self, script: str, stdin: str, budget: Budget) -> str:
        """What a script prints. An exit status that is not 0 is a failure."""
        words: list[str | int] = ["RUN", script, *budget.words(), "STDIN", stdin]
        reply = run_reply(await self._ask(_encoded(words)))
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
