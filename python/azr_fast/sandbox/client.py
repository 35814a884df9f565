"""Typed calls to azr-sandboxd. The transport is redis-py: the daemon speaks the Redis protocol."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, Self

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from azr_fast.sandbox.messages import (
    CallReply,
    Limits,
    Place,
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
_DEFAULT = Limits()


class SandboxLost(RuntimeError):  # noqa: N818 - it says what happened
    """The daemon is gone or does not answer; what was asked of it has no result."""


class Client:
    """Runs programs in the azr-sandboxd that listens at `socket`. Thread-safe: many connections.

    Without a socket it starts a daemon of its own, which ends with `close`, with the context, or
    with this process; where the machine can have one it has a jail, for scripts that need threads,
    processes or files. What its programs can import beyond the standard library is `path`,
    `preload` and `pools` (`launcher.Imports`). Raises UserError when it does not start, and for
    these three where `socket` names a daemon, which would not hear of them.

    A program's failure is a reply. Every method raises SandboxLost when the daemon goes away or
    stays silent far beyond the deadline of a job, and redis.ResponseError when it refuses a
    request: a tier, pool or limit that it does not have, or a text that is no UTF-8.

    `restart` starts a daemon that is ours anew after SandboxLost, and waits for one that is not;
    the client goes on with it.
    """

    restart: Callable[[], None]  # set by `launcher.open_client`

    def __init__(
        self,
        socket: str = "",
        limits: Limits = _DEFAULT,
        *,
        path: str = "",
        preload: str = "",
        pools: str = "",
    ) -> None:
        self.path, self._end = _served(self, socket, path, preload, pools)
        self.limits = limits
        self._redis = redis.Redis(
            unix_socket_path=self.path,
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
        pool: str = "",
        seed: int | None = None,
    ) -> CallReply:
        """Load `program` once and call its function `entry` with each argument list.

        An argument list is text as `values.canonical_arguments` writes it: what stands inside a
        call's parentheses. With `replicas` > 1 the job runs in that many interpreters that hash
        differently, and its verdict is "nondeterministic" when they disagree. With `isolate` the
        program is loaded anew for each argument list, so that what one call leaves behind no other
        call sees. `tier`, `pool` and `seed` are those of `messages.Place`.
        Raises TypeError for `arguments` that are one text, or not texts.
        """
        words = call_words(
            program,
            entry,
            arguments,
            self.limits,
            Place(tier, pool, seed),
            replicas=replicas,
            isolate=isolate,
        )
        return call_reply(self._ask(words))

    def run(
        self,
        script: str,
        stdin: str | bytes = b"",
        *,
        tier: str = "",
        pool: str = "",
        seed: int | None = None,
    ) -> RunReply:
        """Run a whole script with `stdin` as its standard input.

        Without a `tier` the daemon picks the fastest that can serve it, up to a jail, if it has
        one, for scripts that make threads, processes, files or Unix sockets.
        """
        place = Place(tier, pool, seed)
        return run_reply(self._ask(run_words(script, self.limits, stdin, place)))

    def info(self) -> dict[str, dict[str, str]]:
        """The daemon's own account of itself: section -> key -> value."""
        return info_sections(self._ask(info_words()))

    def close(self) -> None:
        """Close the connections, and end the daemon if it is this client's own. Idempotent."""
        self._redis.close()
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _ask(self, words: list[bytes]) -> Any:
        """One command, one reply."""
        try:
            return self._redis.execute_command(*words)  # type: ignore[no-untyped-call]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise _lost(self.path, error) from error


class AsyncClient:
    """`Client` for an event loop. A script may bring limits of its own.

    `connections` bounds the jobs that are asked for at once; further ones wait. Without a socket
    the daemon is started here, which holds the event loop up for about half a second.
    """

    def __init__(
        self,
        socket: str = "",
        limits: Limits = _DEFAULT,
        connections: int = _MOST_CONNECTIONS,
        *,
        path: str = "",
        preload: str = "",
        pools: str = "",
    ) -> None:
        self.path, self._end = _served(self, socket, path, preload, pools)
        self.limits = limits
        pool = redis.asyncio.BlockingConnectionPool(
            connection_class=redis.asyncio.UnixDomainSocketConnection,
            path=self.path,
            protocol=3,
            socket_timeout=_patience(limits),
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
        pool: str = "",
        seed: int | None = None,
    ) -> CallReply:
        """Do what `Client.call` does."""
        words = call_words(
            program,
            entry,
            arguments,
            self.limits,
            Place(tier, pool, seed),
            replicas=replicas,
            isolate=isolate,
        )
        return call_reply(await self._ask(words))

    async def run(
        self,
        script: str,
        stdin: str | bytes = b"",
        limits: Limits | None = None,
        *,
        tier: str = "",
        pool: str = "",
        seed: int | None = None,
    ) -> RunReply:
        """Do what `Client.run` does; `limits` of its own have no longer timeout than the client's,
        which says how long a reply is waited for."""
        place = Place(tier, pool, seed)
        return run_reply(await self._ask(run_words(script, limits or self.limits, stdin, place)))

    async def info(self) -> dict[str, dict[str, str]]:
        """The daemon's own account of itself: section -> key -> value."""
        return info_sections(await self._ask(info_words()))

    async def close(self) -> None:
        """Close the connections, and end the daemon if it is this client's own. Idempotent."""
        await self._redis.aclose()
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def _ask(self, words: list[bytes]) -> Any:
        """One command, one reply."""
        try:
            return await self._redis.execute_command(*words)  # type: ignore[no-untyped-call]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise _lost(self.path, error) from error


def _served(client: object, socket: str, *imports: str) -> tuple[str, Callable[[], object]]:
    """The socket of a daemon, and what ends it: one of the client's own where none is named, which
    does not outlive a client that nobody closed."""
    from azr_fast.sandbox.launcher import Imports, Sandbox  # which imports this module

    if socket:
        Imports(*imports).refuse_any()
        return socket, lambda: None
    own = Sandbox(jails=1, imports=Imports(*imports))
    own.__enter__()
    return own.path, weakref.finalize(client, own.__exit__)


def _patience(limits: Limits) -> float:
    """Seconds that a reply may take before the daemon counts as lost."""
    return _PATIENCE_SECONDS + 10 * limits.timeout_ms / 1000


def _lost(path: str, error: Exception) -> SandboxLost:
    return SandboxLost(f"azr-sandboxd at {path} was lost ({error})")
