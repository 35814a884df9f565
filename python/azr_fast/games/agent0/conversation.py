"""An executor's conversation: it reasons, runs programs, sees their output, and boxes an answer.

A turn stops at the end of a fenced block of Python. The block is run, its output is put after it,
and the model goes on. The output is the environment's: it is no part of what the model said, and
neither an answer nor a program is ever read from it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from azr_fast.errors import ContextFull
from azr_fast.games.agent0.tool import Session
from azr_fast.games.game import Chat
from azr_fast.mathematics import last_boxed
from azr_fast.types import Message, Sampling, Stop

# The line that closes a block; and what a model says that closes it by inventing its output.
CLOSINGS = ("\n```\n", "\n```output")
_BLOCK = re.compile(
    r"^```(?:python3?|py)[ \t]*\n(?P<code>.*?)\n```(?:output)?\s*\Z", re.DOTALL | re.MULTILINE
)
# Programs, and outputs that the model made up.
_FENCED = re.compile(r"^```(?:python|py|output).*?(?:^```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_CLOSING = re.compile(r"```(?:output)?\s*\Z")
_OTHER_BLOCKS = 8  # blocks without a program that a conversation may stop at


@dataclass(slots=True)
class Conversation:
    """What came of it. `said` has what the model said, without the outputs between."""

    said: list[str]
    calls: int = 0
    errors: int = 0  # calls whose program failed

    @property
    def answer(self) -> str | None:
        """The last box that the model wrote outside of its programs; None where there is none."""
        return last_boxed(_FENCED.sub("", "".join(self.said)))


async def converse(
    chat: Chat, messages: Sequence[Message], prefill: str, session: Session, most: int
) -> Conversation:
    """Let the model solve what `messages` ask, with at most `most` calls of its tool.

    After the last call it goes on without stops, so that no further block is waited for. A
    conversation that outgrows the prompt's limit ends where it is.
    """
    turn = await chat.say(*messages, prefill=prefill, sampling=_stopping(chat, most))
    talk, others = Conversation([turn]), 0
    while talk.calls < most and others < _OTHER_BLOCKS:
        program = last_program(talk.said[-1])
        if not _goes_on(chat, program):
            break
        others += program is None
        shown = "" if program is None else await _run(program, session, talk)
        try:
            turn, said = await _go_on(chat, turn, shown, most - talk.calls)
        except ContextFull:
            break
        talk.said.append(said)
    return talk


def last_program(said: str) -> str | None:
    """The program that a text ends with, in a block that is closed."""
    begins = [match.start() for match in re.finditer(r"^```(?:python3?|py)[ \t]*$", said, re.M)]
    found = _BLOCK.search(said, begins[-1]) if begins else None
    return found["code"] if found else None


def _goes_on(chat: Chat, program: str | None) -> bool:
    """Whether the model has more to say. It may end its turn with a program, whose output is then
    a message, where the template keeps what was said before."""
    if chat.stop is Stop.END:
        return program is not None and chat.takes_messages
    return chat.stop is Stop.STRING


async def _run(program: str, session: Session, talk: Conversation) -> str:
    """The output of a program as the model is shown it, after the end of its block."""
    output = await session.run(program)
    talk.calls += 1
    talk.errors += not output.ok
    said = talk.said[-1]
    talk.said[-1] = _CLOSING.sub("```\n", said)
    newline = "" if said.endswith("\n") else "\n"
    heading = "" if said.rstrip().endswith("```output") else "```output\n"
    return f"{newline}{heading}{output.text}\n```\n"


async def _go_on(chat: Chat, turn: str, shown: str, calls_left: int) -> tuple[str, str]:
    """The model's turn after it was shown something, and what of it is new."""
    sampling = _stopping(chat, calls_left)
    if chat.stop is Stop.END:
        turn = await chat.say(Message("user", shown.strip("\n")), sampling=sampling)
        return turn, turn
    longer = await chat.resume(shown, sampling=sampling)
    return longer, longer[len(turn) + len(shown) :]


def _stopping(chat: Chat, calls_left: int) -> Sampling:
    return replace(chat.sampling, stop=CLOSINGS) if calls_left else chat.sampling
