"""Messages to token ids, and sampled ids to text, for one model and its template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from azr_fast.policy.library import told
from azr_fast.rollout.chat_text import ChatText
from azr_fast.rollout.encoder import Encoder
from azr_fast.rollout.probe import ASK
from azr_fast.rollout.stops import Stops
from azr_fast.rollout.templates import Template
from azr_fast.types import Message

CACHED_PROMPTS = 4096
_REMEDY = "change the game's messages, or use a model whose template takes them"


@dataclass(frozen=True, slots=True)
class Given:
    """Tokens up to where sampling begins, none of them sampled."""

    ids: tuple[int, ...]
    head: str  # what the template begins the answer with
    prefill: str  # what the game does, where the template has not done so already


class Renderer:
    """A tokenizer with the facts of its template.

    The text of messages is data: it cannot become a special token, nor end a turn. What an answer
    is made to begin with, its prefill, is the game's own: "<think>" in it is the token of that
    name. But a prefill may quote a task, so the tokens that open and end turns stay characters.
    """

    def __init__(self, tokenizer: Any, template: Template) -> None:
        self.template = template
        self._tokenizer = tokenizer
        self._text = ChatText(tokenizer)
        self._encoder = Encoder(tokenizer, template.controls)
        self._dummy = (
            Message("user", ASK),
            Message("assistant", template.answer_head + template.dummy_answer),
        )
        self._known = self._text.write(self._dummy[:1]) + template.dummy_answer
        self._first = _first_ids(tokenizer) if template.is_plain else []
        self._begin_cached = lru_cache(CACHED_PROMPTS)(self._begin)

    @property
    def stops(self) -> Stops:
        """What ends a turn of the model."""
        return Stops(self.template.ends, self.text)

    def begin(self, messages: Sequence[Message], prefill: str = "") -> Given:
        """The messages that begin a conversation.

        Raises UserError for a system message that the template does not take.
        """
        return self._begin_cached(tuple(messages), prefill)

    def follow(
        self, messages: Sequence[Message], prefill: str = "", ended_by: int | str | None = None
    ) -> Given:
        """What comes after a sampled answer: the end of its turn, unless it was sampled, and then
        the messages.

        `ended_by` is the token, or the stop string of the template, by which the answer ended.
        The work depends on the new messages alone. Raises UserError by `Template.require`.
        """
        self.template.require(m.role for m in messages if m.role != "assistant")
        written = self._write(messages, self._dummy)
        assert written.startswith(self._known), "the template rewrites an answer after all"
        head, prefill = self._begun(written, prefill)
        text = written.removeprefix(self._known) + self._encoder.protect(
            prefill, self.template.structure
        )
        return Given(tuple(self._encode_after_answer(text, ended_by)), head, prefill)

    def insert(self, text: str) -> list[int]:
        """Ids of data that is put into an answer, where it goes on to be sampled."""
        return self._encoder.encode_after_text(self._encoder.protect(text))

    def text(self, ids: Sequence[int], after: Sequence[int] = ()) -> str:
        """Text of sampled ids, special tokens included; broken UTF-8 becomes U+FFFD.

        `after` is the id before them, if any: some tokenizers write a space between two tokens.
        """
        before = self._decode(after)
        return self._decode([*after, *ids])[len(before) :]

    def _begin(self, messages: tuple[Message, ...], prefill: str) -> Given:
        if messages[0].role == "system":
            self.template.require_system()
        written = self._write(messages)
        head, prefill = self._begun(written, prefill)
        text = written + self._encoder.protect(prefill, self.template.structure)
        return Given((*self._first, *self._encoder.encode(text)), head, prefill)

    def _encode_after_answer(self, text: str, ended_by: int | str | None) -> list[int]:
        """Ids of what follows an answer, but for its end if that was sampled."""
        if isinstance(ended_by, str):
            return self._encoder.encode_after_text(text.removeprefix(ended_by))
        if not self._encoder.begins_with_control(text):
            return self._encoder.encode_after_text(text)
        ids = self._encoder.encode(text)
        return ids[1:] if ids[0] == ended_by else ids

    def _begun(self, written: str, prefill: str) -> tuple[str, str]:
        """What the template has begun the answer with, and what of the prefill is left to write.

        Some templates begin it otherwise when a message says so ("/no_think")."""
        _, mark, head = written.rpartition(self.template.turn_head or "\0")
        head = head if mark else self.template.answer_head
        tag = head.strip()
        if not tag or not prefill.startswith(tag):
            return head, prefill
        white_space = head[len(head.rstrip()) :]
        return head, prefill.removeprefix(tag).removeprefix(white_space)

    def _write(self, messages: Sequence[Message], after: Sequence[Message] = ()) -> str:
        """The text of messages after dummies; what in theirs could be a control token is marked."""
        data = [
            Message(m.role, self._encoder.protect(m.content, self._not_in(m.role)))
            for m in messages
        ]
        with told(f"the chat template of {self.template.model} refuses a conversation", _REMEDY):
            return self._text.write([*after, *data])

    def _not_in(self, role: str) -> frozenset[str]:
        """Tokens that a message must not become: an example of an answer may show a thought."""
        template = self.template
        return (
            template.controls - template.special_tags if role == "assistant" else template.controls
        )

    def _decode(self, ids: Sequence[int]) -> str:
        return str(
            self._tokenizer.decode(
                ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )


def _first_ids(tokenizer: Any) -> list[int]:
    """The ids that the tokenizer puts before a text which no template has written, such as bos."""
    whole = list(tokenizer("x").input_ids)
    (first, *_) = tokenizer("x", add_special_tokens=False).input_ids
    return whole[: whole.index(first)]
