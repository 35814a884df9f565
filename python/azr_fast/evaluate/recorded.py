"""Chats without a model: one that only hears the first question, one that repeats what was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azr_fast.evaluate.benchmark import Benchmark
from azr_fast.games.game import Chat
from azr_fast.types import Message, Sampling, Stop, Task, Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """What a benchmark asks first."""

    messages: tuple[Message, ...]
    prefill: str


class _Asked(BaseException):
    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question


class _Listener:
    """Ends the conversation by its first question."""

    sampling = Sampling(1)
    truncated = False
    stop = Stop.END
    takes_messages = True

    async def say(
        self, *messages: Message, prefill: str = "", sampling: Sampling | None = None
    ) -> str:
        raise _Asked(Question(messages, prefill))

    async def resume(self, text: str, *, sampling: Sampling | None = None) -> str:
        raise AssertionError("a conversation begins with say()")


class Recorded:
    """A model that says these turns, whole, one after the other."""

    sampling = Sampling(1)
    takes_messages = True  # the turns were said, so the template took them

    def __init__(self, turns: Sequence[str], truncated: bool = False) -> None:
        self._turns = list(turns)
        self._cut = truncated  # the last of them

    @property
    def truncated(self) -> bool:
        """Whether the last turn was cut off, once it has been said."""
        return self._cut and not self._turns

    @property
    def stop(self) -> Stop:
        """Turns are recorded whole, so that each but one that was cut off ended."""
        return Stop.LENGTH if self.truncated else Stop.END

    async def say(
        self, *messages: Message, prefill: str = "", sampling: Sampling | None = None
    ) -> str:
        """The next turn. Raises LookupError where no more was recorded."""
        if not self._turns:
            raise LookupError("the benchmark asks for more turns than were recorded")
        return self._turns.pop(0)

    async def resume(self, text: str, *, sampling: Sampling | None = None) -> str:
        """The next turn, too: it was recorded whole."""
        return await self.say()


async def first_question(benchmark: Benchmark, task: Task) -> Question:
    """What the benchmark asks first about a task."""
    try:
        await benchmark.solve(task, _Listener())
    except _Asked as asked:
        return asked.question
    raise AssertionError(f"{benchmark.name} gave a verdict and asked nothing")


async def replay(
    benchmark: Benchmark, task: Task, turns: Sequence[str], truncated: bool = False
) -> Verdict:
    """The verdict on turns that were said before."""
    return await benchmark.solve(task, Recorded(turns, truncated))


class Heard:
    """A chat that remembers what the model said, turn by turn, as `Recorded` repeats it."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self.turns: list[str] = []

    @property
    def sampling(self) -> Sampling:
        """That of the chat."""
        return self._chat.sampling

    @property
    def truncated(self) -> bool:
        """Whether the last turn was cut off."""
        return self._chat.truncated

    @property
    def stop(self) -> Stop:
        """Why the model stopped speaking."""
        return self._chat.stop

    @property
    def takes_messages(self) -> bool:
        """Whether messages can follow what the model said."""
        return self._chat.takes_messages

    async def say(
        self, *messages: Message, prefill: str = "", sampling: Sampling | None = None
    ) -> str:
        """Pass on, and remember the turn."""
        self.turns.append(await self._chat.say(*messages, prefill=prefill, sampling=sampling))
        return self.turns[-1]

    async def resume(self, text: str, *, sampling: Sampling | None = None) -> str:
        """Pass on, and remember the turn as far as it has come."""
        self.turns.append(await self._chat.resume(text, sampling=sampling))
        return self.turns[-1]
