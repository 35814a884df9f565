"""An engine behind coroutines: many conversations wait for their turns, one loop decodes them all.

Everything happens in one thread. While no conversation can go on, the engine decodes a little; then
the turns that ended go on, ask the sandbox, and ask for more. A batch that nothing can join later
begins only once every conversation waits for the engine, so that what is decoded together does not
depend on how fast verdicts come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from azr_fast.rollout.engine import Completion, Engine, EngineDied, Request

T = TypeVar("T")
PATIENCE = 0.1  # seconds between looks at whether to stop, while only the sandbox works
LAST_WORDS = 5.0  # seconds that cancelled coroutines have to end
SILENCE = 600.0  # seconds without a word, after which whoever does not wait for the engine hangs


class Interrupted(Exception):  # noqa: N818 - an order, not an error
    """The caller asked to stop before all was played."""


@dataclass(slots=True)
class RolloutStats:
    """What was asked of the engine since `Decoder.run` began. Seconds are wall-clock."""

    requested: int = 0
    finished: int = 0
    tokens: int = 0  # sampled
    started: float = field(default_factory=time.monotonic)
    blocked: float = 0.0  # waiting for verdicts while nothing was left to decode

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started


class Decoder:
    """Runs coroutines that call `generate` in a runner's event loop, and decodes for them.

    Whoever opens conversations says so by `opened`, before it waits for anything, and lets each go
    on inside of `conversation`: one that is open and does not wait for the engine is about to ask
    for more.
    """

    def __init__(
        self,
        engine: Engine,
        runner: asyncio.Runner,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[RolloutStats], None] = lambda stats: None,
        silence: float = SILENCE,
    ) -> None:
        self._engine = engine
        self._should_stop = should_stop
        self._on_progress = on_progress
        self._runner = runner
        self._silence = silence
        self.stats = RolloutStats()

    def run(self, play: Coroutine[Any, Any, T]) -> T:
        """What `play` returns. Raises Interrupted when asked to stop, and what `play` or the engine
        raised; nothing is queued or running then."""
        self.stats = RolloutStats()
        try:
            result = self._runner.run(self._decode_while(play))
        except EngineDied:
            raise
        except BaseException:
            self._engine.cancel()
            raise
        self._engine.cancel()  # what a game asked for and then did not wait for
        return result

    def opened(self, conversations: int = 1) -> None:
        """So many conversations have begun."""
        self._open += conversations

    @asynccontextmanager
    async def conversation(self, number: tuple[int, ...]) -> AsyncIterator[None]:
        """A conversation that was `opened` goes on inside of this, and has ended afterwards. The
        ids of its requests begin with its number.

        Raises TimeoutError in one that hangs: for `silence` seconds nothing was decoded, and nobody
        asked for anything or ended.
        """
        limit = self._limits[number] = asyncio.timeout(None)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if not limit.expired():  # the game's own
                raise
            raise TimeoutError(f"nothing was heard of it for {self._silence:g} s") from error
        finally:
            self._limits.pop(number, None)
            self._open -= 1
            self._changed.set()

    async def generate(self, request: Request) -> Completion:
        """One generation. Its id is not used twice. Whoever is cancelled while it waits, as by a
        deadline, leaves nothing behind that others would wait for."""
        self._engine.submit(request)
        done: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = done
        self.stats.requested += 1
        self._changed.set()
        try:
            return await done
        finally:
            self._waiting.pop(request.id, None)
            self._changed.set()

    async def _decode_while(self, play: Coroutine[Any, Any, T]) -> T:
        """Run both until `play` ends, or until the first exception of either."""
        await _end_others()  # of a play that an interrupt tore apart
        self._open = 0
        self._waiting: dict[tuple[int, ...], asyncio.Future[Completion]] = {}
        self._limits: dict[tuple[int, ...], asyncio.Timeout] = {}
        # Seconds without a word, by looks: a process that was stopped meanwhile was not silent.
        self._quiet = 0.0
        self._changed = asyncio.Event()
        playing, decoding = asyncio.create_task(play), asyncio.create_task(self._decode())
        try:
            await asyncio.wait({playing, decoding}, return_when=asyncio.FIRST_COMPLETED)
            return await (decoding if decoding.done() else playing)
        finally:
            await _end_others()

    async def _decode(self) -> Any:
        """Decode what waits, for ever; lets coroutines go on after each bit."""
        while True:
            if self._should_stop():
                raise Interrupted
            if self._waiting and (self._engine.in_batch() or len(self._waiting) >= self._open):
                self._advance()
                self._quiet = 0.0
                await asyncio.sleep(0)
            else:
                await self._pause()
                self._end_silence()

    def _advance(self) -> None:
        before = self._engine.generated_tokens()
        for completion in self._engine.poll():
            self.stats.finished += 1
            waiting = self._waiting.pop(completion.id, None)
            if waiting and not waiting.done():  # cancelled a moment ago, as by a deadline
                waiting.set_result(completion)
        self.stats.tokens += self._engine.generated_tokens() - before
        self._on_progress(self.stats)

    async def _pause(self) -> None:
        """Let the sandbox work until a conversation goes on."""
        since, idle = time.monotonic(), not self._waiting
        self._changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), PATIENCE)
        if idle:
            self.stats.blocked += time.monotonic() - since

    def _end_silence(self) -> None:
        """Break off the conversations that hang. All others wait for the engine, which may wait for
        those that hang."""
        self._quiet = 0.0 if self._changed.is_set() else self._quiet + PATIENCE
        if self._quiet >= self._silence:
            self._quiet = 0.0
            asking = {request[:-1] for request in self._waiting}
            for number in self._limits.keys() - asking:
                self._limits[number].reschedule(asyncio.get_running_loop().time())


async def _end_others() -> None:
    """Cancel every other task of the loop and wait for it, though not for one that does not let
    itself be cancelled; what they raise then is not news."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=LAST_WORDS)
    for task in others:
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that nobody is told of it later
