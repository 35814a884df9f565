"""The executor's tool: Python programs, run in the sandbox; outputs as a model is shown them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from azr_fast.games.agent0.config import Agent0Section
from azr_fast.sandbox.client import AsyncClient
from azr_fast.sandbox.messages import Limits, RunReply

SEED = 0  # of the random numbers of every program, so that an earlier one is replayed as it was
OUT_OF_ORDER = "RuntimeError: the interpreter is out of order"
_KEPT = ("ok", "error")  # verdicts of programs that ended by themselves
# Runs earlier programs anew, each up to where it failed, without what they print.
_REPLAY = (
    "import io as _io, contextlib as _c\n"
    "for _program in {programs!r}:\n"
    "    with _c.redirect_stdout(type('Sink', (_io.TextIOBase,), {{'write': "
    "lambda self, text: len(text)}})()), _c.suppress(BaseException):\n"
    "        exec(compile(_program, '<earlier>', 'exec'), globals())\n"
    "del _io, _c, _program\n"
)


@dataclass(frozen=True, slots=True)
class Output:
    """What a program gave."""

    ok: bool
    text: str


@dataclass(slots=True)
class Tool:
    """Runs programs of all conversations, and counts. Limits are those of the sandbox section."""

    client: AsyncClient
    limits: Limits
    rules: Agent0Section
    pool: str = ""  # of the daemon, whose programs find their imports ready
    calls: int = 0
    errors: int = 0
    seconds: float = 0.0  # from asking to the reply, summed over calls

    async def run(self, program: str, earlier: Sequence[str] = ()) -> tuple[Output, bool]:
        """The output of a program, and whether it ended by itself."""
        if self.rules.tool_output == "error":
            return Output(False, OUT_OF_ORDER), False
        started = time.monotonic()
        before = _REPLAY.format(programs=list(earlier)) if earlier else ""
        # A sandbox refuses lone surrogates as no text.
        script = (before + program).encode("utf-8", "replace").decode()
        reply = await self.client.run(script, "", self.limits, pool=self.pool, seed=SEED)
        self.calls += 1
        self.errors += reply.verdict != "ok"
        self.seconds += time.monotonic() - started
        text = shown(reply, self.limits, self.rules.output_chars, before.count("\n"))
        return Output(reply.verdict == "ok", text), reply.verdict in _KEPT


@dataclass(slots=True)
class Session:
    """The programs of one conversation.

    Where the tool is stateful, what was run before is run again with each program. A program that
    was stopped is left out, since it would be stopped again.
    """

    tool: Tool
    _earlier: list[str] = field(default_factory=list)

    async def run(self, program: str) -> Output:
        """Run the next program."""
        output, ended = await self.tool.run(program, self._earlier)
        if ended and self.tool.rules.tool_memory == "stateful":
            self._earlier.append(program)
        return output


def shown(reply: RunReply, limits: Limits, most: int, lines_before: int = 0) -> str:
    """The reply as text: what was printed, then what went wrong. At most `most` characters, of
    which a half are the beginning and a half the end. `lines_before` came before the program."""
    printed = (reply.stdout or b"").decode("utf-8", "replace").rstrip()
    parts = [part for part in (cut(printed, most), _fault(reply, limits, lines_before)) if part]
    return "\n".join(parts) or "(it printed nothing)"


def cut(text: str, most: int) -> str:
    """The text, without its middle where it is too long."""
    if len(text) <= most:
        return text
    left_out = f"\n[{len(text) - most} characters left out]\n"
    return text[: most - most // 2] + left_out + text[len(text) - most // 2 :]


def _fault(reply: RunReply, limits: Limits, lines_before: int) -> str:
    """A line on what went wrong; empty where nothing did."""
    match reply.verdict:
        case "ok":
            return ""
        case "timeout":
            return f"TimeoutError: stopped after {limits.timeout_ms / 1000:g} s"
        case "memory":
            return f"MemoryError: more than {limits.memory_bytes >> 20} MiB"
        case "output":
            return f"OutputError: stopped after {limits.output_bytes >> 10} KiB of output"
        case "denied":
            return f"PermissionError: {reply.syscall or 'a system call'} is not allowed here"
        case "error":
            line = (reply.line or 0) - lines_before
            where = f" (line {line})" if line > 0 else ""
            return cut(f"{reply.type}: {reply.message}{where}", 500)
    return "the interpreter died"
