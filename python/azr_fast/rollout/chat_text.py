"""A conversation as text: by the chat template of a tokenizer, or in the plain form without one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from azr_fast.types import Message

# Some templates write today's date (Llama 3.2). They get this one, that template's own default, so
# that the prompts of a run are the same before and after midnight, and when a run is repeated.
DAY = datetime(2024, 7, 26)
PLAIN_HEADS = {"system": "", "user": "User: ", "assistant": "Assistant:\n", "tool": "Tool: "}


class ChatText:
    """Writes conversations as the model was taught to read them.

    A tokenizer without a chat template belongs to a base model. It gets the plain form: paragraphs
    of "User: ..." and "Assistant:" with the answer on the next line, system messages as they are.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.is_plain = not tokenizer.chat_template

    def write(self, messages: Sequence[Message], ask: bool = True) -> str:
        """The text of the messages; with `ask`, it ends where an assistant's turn begins.

        Raises whatever the template raises over a conversation that it does not take.
        """
        if self.is_plain:
            return _plain(messages, ask)
        return str(
            self._tokenizer.apply_chat_template(
                [{"role": message.role, "content": message.content} for message in messages],
                tokenize=False,
                add_generation_prompt=ask,
                strftime_now=DAY.strftime,
            )
        )


def _plain(messages: Sequence[Message], ask: bool) -> str:
    paragraphs = [PLAIN_HEADS[message.role] + message.content for message in messages]
    return "\n\n".join([*paragraphs, PLAIN_HEADS["assistant"]] if ask else paragraphs)
