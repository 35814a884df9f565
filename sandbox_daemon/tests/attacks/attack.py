"""What one hostile program is, and what must come of it."""

from __future__ import annotations

import dataclasses
from textwrap import dedent
from typing import Any

# In programs: the text that marks whatever they try to leave on the host, a folder of the host
# whose files nobody may touch, a process of the host, the daemon's own socket, a TCP port that
# somebody listens on, and the name of an abstract Unix socket.
PLACES = ("@MARK@", "@CANARY@", "@VICTIM@", "@SOCKET@", "@PORT@", "@ABSTRACT@")


@dataclasses.dataclass(frozen=True)
class Attack:
    """A program and its end: any of `verdicts`, and of the rest what is not None."""

    program: str
    verdicts: tuple[str, ...]
    value: str | None = None  # the canonical text of what it returns
    types: tuple[str | None, ...] | None = None  # of the exception, or the daemon's reason
    syscalls: tuple[str | None, ...] | None = None  # None: all signals were blocked
    signal: int | None = None
    script: bool = False  # RUN it; otherwise CALL its function f
    times: int = 1  # run it so often: each time the same end
    reads: bool = False  # where neither mounts nor Landlock are on, nothing keeps it from reading
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def _attack(program: str, *verdicts: str, **rest: Any) -> Attack:
    return Attack(dedent(program).strip(), verdicts, **rest)


def ok(program: str, value: str | None, **rest: Any) -> Attack:
    """It is allowed, and gains nothing: `value` says what it saw."""
    return _attack(program, "ok", value=value, **rest)


def error(program: str, *types: str, **rest: Any) -> Attack:
    return _attack(program, "error", types=types, **rest)


def denied(program: str, *syscalls: str | None, **rest: Any) -> Attack:
    return _attack(program, "denied", syscalls=syscalls, **rest)


def crash(program: str, signal: int | None = None, **rest: Any) -> Attack:
    return _attack(program, "crash", signal=signal, **rest)


def timeout(program: str, **rest: Any) -> Attack:
    return _attack(program, "timeout", **rest)


def memory(program: str, **rest: Any) -> Attack:
    return _attack(program, "memory", types=("MemoryError",), **rest)


def output(program: str, **rest: Any) -> Attack:
    return _attack(program, "output", **rest)


def any_of(program: str, *verdicts: str, **rest: Any) -> Attack:
    """Interpreters and kernels differ in how it ends."""
    return _attack(program, *verdicts, **rest)


# Where mounts are missing, Landlock or the filter refuses what else is not there at all.
NO_FILE = ("FileNotFoundError", "PermissionError", "OSError")
