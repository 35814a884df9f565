"""Typed calls to azr-sandboxd. The transport is redis-py: the daemon speaks the Redis protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from azr_fast.sandbox.messages import (
    CallReply,
    Limits,
    RunReply,
    call_reply,
    call_words,
    info_sections,
    info_words,
    run_reply,
    run_words,
)

_PATIENCE_SECONDS = 60.0  # a job may wait for a zygote behind jobs of others
_MOST_CONNECTIONS = 1000  # one per thread that is waiting for a reply


class SandboxLost(RuntimeError):  # noqa: N818 - it says what happened
    """The daemon is gone or does not answer; what was asked of it has no result."""


class Client:
    """Runs programs in the azr-sandboxd that listens at `path`. Thread-safe: a pool of connections.

    A program's failure is a reply. Every method raises SandboxLost when the daemon goes away or
    stays silent far beyond the deadline of a job, and redis.ResponseError when it refuses a
    request as malformed, which is a bug of ours.

    `restart` starts a daemon that is ours anew after SandboxLost, and waits for one that is not;
    the client goes on with it.
    """

    restart: Callable[[], None]  # set by `launcher.open_client`

    def __init__(self, path: str, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self._redis = redis.Redis(
            unix_socket_path=path,
            protocol=3,
            socket_timeout=_patience(limits),
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
        tier: str = "",
    ) -> CallReply:
        """Load `program` once and call its function `entry` with each argument list.

        An argument list is text as `values.canonical_arguments` writes it. With `replicas` > 1 the
        job runs in that many interpreters that hash differently, and its verdict is
        "nondeterministic" when they disagree. With `isolate` the program is loaded anew for each
        argument list, so that what one call leaves behind no other call sees. `tier` is one of
        `messages.TIERS`, the least isolation that will do; without it the fastest serves.
        """
        modes: dict[str, Any] = {"replicas": replicas, "isolate": isolate, "tier": tier}
        return call_reply(self._ask(call_words(program, entry, arguments, self.limits, **modes)))

    def run(self, script: str, stdin: str | bytes = b"", *, tier: str = "") -> RunReply:
        """Run a whole script with `stdin` as its standard input.

        Without a `tier` the daemon picks the fastest that can serve it, up to a jail, if it has
        one, for scripts that make threads, processes, files or Unix sockets.
        """
        return run_reply(self._ask(run_words(script, self.limits, stdin, tier)))

    def info(self) -> dict[str, dict[str, str]]:
        """The daemon's own account of itself: section -> key -> value."""
        return info_sections(self._ask(info_words()))

    def close(self) -> None:
        """Close the connections; the daemon goes on."""
        self._redis.close()

    def _ask(self, words: list[bytes]) -> Any:
        """One command, one reply."""
        try:
            return self._redis.execute_command(*words)  # type: ignore[no-untyped-call]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise _lost(self.path, error) from error


class AsyncClient:
    """`Client` for an event loop; scripts bring limits of their own, within `most`.

    `connections` bounds the jobs that are asked for at once; further ones wait.
    """

    def __init__(self, path: str, most: Limits, connections: int = _MOST_CONNECTIONS) -> None:
        self._path = path
        self._most = most
        pool = redis.asyncio.BlockingConnectionPool(
            connection_class=redis.asyncio.UnixDomainSocketConnection,
            path=path,
            protocol=3,
            socket_timeout=_patience(most),
            retry=AsyncRetry(NoBackoff(), 0),
            max_connections=connections,
            timeout=None,
        )
        self._redis = redis.asyncio.Redis.from_pool(pool)

    async def call(
        self,
        program: str,
        entry: str,
        arguments: Sequence[str],
        *,
        replicas: int = 1,
        isolate: bool = False,
        tier: str = "",
    ) -> CallReply:
        """Do what `Client.call` does, with the limits of this client."""
        modes: dict[str, Any] = {"replicas": replicas, "isolate": isolate, "tier": tier}
        words = call_words(program, entry, arguments, self._most, **modes)
        return call_reply(await self._ask(words))

    async def run(self, script: str, stdin: str, limits: Limits, tier: str = "") -> RunReply:
        """Run a whole script; `limits` are within the `most` of this client."""
        return run_reply(await self._ask(run_words(script, limits, stdin, tier)))

    async def info(self) -> dict[str, dict[str, str]]:
        """The daemon's own account of itself: section -> key -> value."""
        return info_sections(await self._ask(info_words()))

    async def close(self) -> None:
        """Close the connections; the daemon goes on."""
        await self._redis.aclose()

    async def _ask(self, words: list[bytes]) -> Any:
        """One command, one reply."""
        try:
            return await self._redis.execute_command(*words)  # type: ignore[no-untyped-call]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise _lost(self._path, error) from error


def _patience(limits: Limits) -> float:
    """Seconds that a reply may take before the daemon counts as lost."""
    return _PATIENCE_SECONDS + 10 * limits.timeout_ms / 1000


def _lost(path: str, error: Exception) -> SandboxLost:
    return SandboxLost(f"azr-sandboxd at {path} was lost ({error})")
