"""A number of slots for which clients take turns, however much one of them asks for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Slots that are free, and who waits for one: a queue per client, served in turn."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # whose turn is next first

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncIterator[None]:
        """A slot for `client`, as long as the context is entered."""
        await self._take(client)
        try:
            yield
        finally:
            self._give()

    async def _take(self, client: str) -> None:
        if self._free:
            self._free -= 1
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():  # it was given just before
                self._give()
            raise

    def _give(self) -> None:
        """Give the place to the next who still waits; its client then waits behind all others."""
        while self._waiting:
            client = next(iter(self._waiting))
            queue = self._waiting.pop(client)
            first = queue.popleft()
            if queue:
                self._waiting[client] = queue
            if not first.done():
                first.set_result(None)
                return
        self._free += 1
