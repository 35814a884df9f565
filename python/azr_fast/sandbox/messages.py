"""What azr-sandboxd is asked and what it answers, typed, whatever carries it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from signal import SIGKILL, SIGSYS
from typing import Any

Reply = Mapping[bytes, Any]

TIERS = ("rewind", "fork", "jail")  # of isolation: what a program may do, and what that costs
LARGEST_WORD = 16 << 20  # bytes of a program, an input or an argument list

_AS_WRITTEN = ("stdout", "stderr")  # any bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use. Wall-clock milliseconds, and bytes."""

    timeout_ms: int
    memory_bytes: int
    output_bytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one argument list gave: `value` is canonical text exactly when the verdict is "ok"."""

    verdict: str
    value: str | None
    type: str | None  # of the exception that the program raised
    reason: str | None  # the daemon's own, where the program raised none
    message: str | None
    line: int | None  # of the program, from 1


@dataclass(frozen=True, slots=True)
class CallReply:
    """A program that was loaded, and its entry function called. `verdict` is about the loading."""

    verdict: str
    type: str | None
    reason: str | None
    message: str | None
    line: int | None
    results: tuple[Result, ...]  # one per argument list
    cpu_us: int | None
    wall_us: int | None
    max_rss_kib: int | None
    syscall: str | None  # that was denied
    signal: int | None  # that the program died of
    stdout: bytes | None
    stderr: bytes | None
    tier: str | None = None  # that served it
    lost_us: int | None = None  # of wall_us: in tiers that could not


@dataclass(frozen=True, slots=True)
class RunReply:
    """A script that ran to its end, or did not."""

    verdict: str
    exit: int | None
    stdout: bytes | None
    stderr: bytes | None
    type: str | None
    reason: str | None
    message: str | None
    line: int | None
    cpu_us: int | None
    wall_us: int | None
    max_rss_kib: int | None
    syscall: str | None
    signal: int | None
    tier: str | None = None  # that served it
    lost_us: int | None = None  # of wall_us: in tiers that could not

    @property
    def killed_by(self) -> int:
        """The signal that ended a script without an exit status, as far as that is known."""
        return self.signal or (SIGSYS if self.verdict == "denied" else SIGKILL)


def call_words(
    program: str,
    entry: str,
    arguments: Sequence[str],
    limits: Limits,
    *,
    replicas: int = 1,
    isolate: bool = False,
    tier: str = "",
    pool: str = "",
    seed: int | None = None,
) -> list[bytes]:
    """The command CALL."""
    job: list[str | int] = ["CALL", program, entry, len(arguments), *arguments]
    modes = ("REPLICAS", replicas, "ISOLATE", int(isolate))
    return _encoded(*job, *_options(limits, tier, pool, seed), *modes)


def run_words(
    script: str,
    limits: Limits,
    stdin: str | bytes = b"",
    tier: str = "",
    pool: str = "",
    seed: int | None = None,
) -> list[bytes]:
    """The command RUN."""
    return _encoded("RUN", script, *_options(limits, tier, pool, seed), "STDIN", stdin)


def info_words() -> list[bytes]:
    """The command INFO."""
    return _encoded("INFO")


def call_reply(reply: Reply) -> CallReply:
    """The reply to CALL."""
    results = tuple(Result(**_pick(Result, result)) for result in reply[b"results"])
    return CallReply(**{**_pick(CallReply, reply), "results": results})


def run_reply(reply: Reply) -> RunReply:
    """The reply to RUN."""
    return RunReply(**_pick(RunReply, reply))


def info_sections(text: bytes) -> dict[str, dict[str, str]]:
    """The reply to INFO, `# Section` and `key:value` lines as in Redis: section -> key -> value."""
    sections: dict[str, dict[str, str]] = {}
    for line in text.decode().splitlines():
        if line.startswith("#"):
            section = sections.setdefault(line.strip("# ").lower(), {})
        elif ":" in line:
            key, value = line.split(":", 1)
            section[key] = value
    return sections


def _encoded(*words: str | bytes | int) -> list[bytes]:
    """Words as bytes, which also keeps redis-py from reshaping the replies to commands it knows.

    Lone surrogates travel on: the daemon refuses such a program.
    """
    return [
        word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
        for word in words
    ]


def _options(limits: Limits, tier: str, pool: str, seed: int | None) -> list[str | int]:
    return [
        *("TIMEOUT", limits.timeout_ms),
        *("MEMORY", limits.memory_bytes),
        *("OUTPUT", limits.output_bytes),
        *(("TIER", tier) if tier else ()),
        *(("POOL", pool) if pool else ()),
        *(("SEED", seed) if seed is not None else ()),
    ]


def _pick(form: type[Result | CallReply | RunReply], reply: Reply) -> dict[str, Any]:
    """The fields of `form` in a reply."""
    names = [field.name for field in fields(form)]
    return {name: _typed(name, reply.get(name.encode())) for name in names}


def _typed(name: str, value: object) -> object:
    text = isinstance(value, bytes) and name not in _AS_WRITTEN
    return value.decode("utf-8", "replace") if text else value  # type: ignore[attr-defined]
