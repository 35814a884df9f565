"""HTTP connections that cannot be held for nothing: bounded in time, per client and in all."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

READ_SECONDS = 30.0  # for a whole request to come
MOST = 1000  # at a time


class Crowd:
    """All connections of a server, oldest first.

    One that has not sent its whole request, or none at all, makes room when a new one finds no
    place: those who send what they have to say at once are served, however many do not.
    """

    def __init__(self, per_client: int) -> None:
        self._per_client = per_client
        self._all: dict[Connection, None] = {}

    def admit(self, newcomer: Connection) -> bool:
        """Take it in, which may end another; False where there is no place."""
        own = [one for one in self._all if one.address == newcomer.address]
        if len(own) >= self._per_client and not _end_oldest(own):
            return False
        if len(self._all) >= MOST and not _end_oldest(list(self._all)):
            return False
        self._all[newcomer] = None
        return True

    def leave(self, connection: Connection) -> None:
        """It is closed."""
        self._all.pop(connection, None)


def _end_oldest(connections: list[Connection]) -> bool:
    """End the first of them that nothing is being done for; False when there is none."""
    for one in connections:
        if one.waits_for_client:
            one.end(408, "another connection needed its place")
            return True
    return False


class Connection(H11Protocol):
    """One connection. `crowd` is its server's."""

    crowd: ClassVar[Crowd]
    address = ""  # of its client
    _impatience: asyncio.TimerHandle | None = None

    @property
    def waits_for_client(self) -> bool:
        """Whether a request, or the rest of one, is still to come."""
        return self._impatience is not None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or go."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        if self.crowd.admit(self):
            self._watch()
        else:
            self.end(503, "too many requests of this client are being answered")

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        if not self.transport.is_closing():
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._unwatch()
        self.crowd.leave(self)
        super().connection_lost(exc)

    def end(self, status: int, why: str) -> None:
        """Answer without a request, and close."""
        self._unwatch()
        self.crowd.leave(self)
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = why.encode()
            headers = [("content-length", str(len(body))), ("connection", "close")]
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch(self) -> None:
        """The clock runs while it is the client's turn."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY) or self.transport.is_closing():
            self._unwatch()
        elif self._impatience is None:
            late = functools.partial(self.end, 408, f"no whole request in {READ_SECONDS:g} s")
            self._impatience = self.loop.call_later(READ_SECONDS, late)

    def _unwatch(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None


def connections(per_client: int) -> type[Connection]:
    """The class of connections of a new server; `per_client` of one address at a time."""
    attributes: dict[str, Any] = {"crowd": Crowd(per_client)}
    return type("ServerConnection", (Connection,), attributes)
