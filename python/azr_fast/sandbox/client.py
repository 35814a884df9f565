"""Typed calls to azr-sandboxd over redis-py; the daemon speaks the Redis serialisation protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

Reply = Mapping[bytes, object]

_PATIENCE_SECONDS = 60.0  # a job may wait for a zygote behind jobs of others
_MOST_CONNECTIONS = 1000  # one per thread that is waiting for a reply


class SandboxLost(RuntimeError):  # noqa: N818 - it says what happened
    """The daemon is gone or does not answer; what was asked of it has no result."""


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
    type: str | None  # of the exception
    message: str | None
    line: int | None  # of the program, from 1


@dataclass(frozen=True, slots=True)
class CallReply:
    """A program that was loaded, and its entry function called. `verdict` is about the loading."""

    verdict: str
    type: str | None
    message: str | None
    line: int | None
    results: tuple[Result, ...]  # one per argument list
    cpu_us: int | None
    wall_us: int | None
    max_rss_kib: int | None
    syscall: str | None  # that was denied
    signal: int | None  # that the program died of
    stdout: str | None
    stderr: str | None


@dataclass(frozen=True, slots=True)
class RunReply:
    """A script that ran to its end, or did not."""

    verdict: str
    exit: int | None
    stdout: str | None
    stderr: str | None
    type: str | None
    message: str | None
    line: int | None
    cpu_us: int | None
    wall_us: int | None
    max_rss_kib: int | None
    syscall: str | None
    signal: int | None


class Client:
    """Runs programs in the azr-sandboxd that listens at `path`. Thread-safe: a pool of connections.

    A program's failure is a reply. Every method raises SandboxLost when the daemon goes away or
    stays silent far beyond the deadline of a job, and redis.ResponseError when it refuses a
    request as malformed, which is a bug of ours.
    """

    def __init__(self, path: str, limits: Limits) -> None:
        self._path = path
        self._options: tuple[str | int, ...] = (
            *("TIMEOUT", limits.timeout_ms),
            *("MEMORY", limits.memory_bytes),
            *("OUTPUT", limits.output_bytes),
        )
        self._redis = redis.Redis(
            unix_socket_path=path,
            protocol=3,
            socket_timeout=_PATIENCE_SECONDS + 10 * limits.timeout_ms / 1000,
            retry=Retry(NoBackoff(), 0),  # a program that killed a daemon must not get another one
            max_connections=_MOST_CONNECTIONS,
        )

    def call(
        self,
        program: str,
        entry: str,
        arguments: Sequence[str],
        *,
        replicas: int = 1,
        isolate: bool = False,
    ) -> CallReply:
        """Load `program` once and call its function `entry` with each argument list.

        An argument list is text as `values.canonical_arguments` writes it. With `replicas` > 1 the
        job runs in that many interpreters that hash differently, and its verdict is
        "nondeterministic" when they disagree. With `isolate` the program is loaded anew for each
        argument list, so that what one call leaves behind no other call sees.
        """
        job: list[str | int] = ["CALL", program, entry, len(arguments), *arguments]
        modes = ("REPLICAS", replicas, "ISOLATE", int(isolate))
        reply = self._ask(*job, *self._options, *modes)
        results = tuple(Result(**_pick(Result, result)) for result in reply[b"results"])
        return CallReply(**{**_pick(CallReply, reply), "results": results})

    def run(self, script: str, stdin: str = "") -> RunReply:
        """Run a whole script with `stdin` as its standard input."""
        return RunReply(**_pick(RunReply, self._ask("RUN", script, *self._options, "STDIN", stdin)))

    def info(self) -> dict[str, dict[str, str]]:
        """The daemon's own account of itself: section -> key -> value."""
        return _sections(self._ask("INFO"))

    def close(self) -> None:
        """Close the connections; the daemon goes on."""
        self._redis.close()

    def _ask(self, *words: str | int) -> Any:
        """One command, one reply. Lone surrogates travel on: the daemon refuses such a program."""
        # Words of bytes also keep redis-py from reshaping the replies to commands that it knows.
        encoded = [w.encode("utf-8", "surrogatepass") if isinstance(w, str) else w for w in words]
        try:
            return self._redis.execute_command(*encoded)  # type: ignore[no-untyped-call]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise SandboxLost(
                f"azr-sandboxd at {self._path} was lost ({error}); resume the run with --resume"
            ) from error


def _pick(form: type[Result | CallReply | RunReply], reply: Reply) -> dict[str, Any]:
    """The fields of `form` in a reply. Output of a program may be any bytes: it is only shown."""
    return {field.name: _text(reply.get(field.name.encode())) for field in fields(form)}


def _text(value: object) -> object:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _sections(text: bytes) -> dict[str, dict[str, str]]:
    """Parse `# Section` and `key:value` lines, the form of the INFO reply of Redis."""
    sections: dict[str, dict[str, str]] = {}
    for line in text.decode().splitlines():
        if line.startswith("#"):
            section = sections.setdefault(line.strip("# ").lower(), {})
        elif ":" in line:
            key, value = line.split(":", 1)
            section[key] = value
    return sections
