"""The compact form with a short thought before each answer, for small models that are to reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from azr_fast.games.azr.compact import CompactForm, Fields, Words, fill, read_words, turns
from azr_fast.games.azr.config import GameConfig
from azr_fast.games.game import Chat
from azr_fast.types import Message, Source

OPEN, CLOSE = "<think>\n", "</think>"


class ThoughtForm(CompactForm):
    """Worked examples think before they answer. References, which hold no thoughts, are listed in
    the request and not shown as earlier turns."""

    def __init__(self, config: GameConfig) -> None:
        super().__init__(config)
        thoughts = read_words("thoughts")
        for kind, told in thoughts.items():
            words = self._words[kind]
            words["answer"] = f"{OPEN}$thought\n{CLOSE}\n{words['answer']}"
            if "example" in words:
                words["example"]["thought"] = told[0]
            else:
                examples = words.get("examples", self._words["solved"])
                pairs = zip(examples, told, strict=False)  # the rest would take room
                words["examples"] = [{**one, "thought": thought} for one, thought in pairs]
        self._known = self._words["triplet"]["known"]

    def _shown(self, words: Words, references: Sequence[Fields]) -> list[Message]:
        return turns(words, words["example"])

    def _last(self, words: Words, source: Source, fields: Fields) -> str:
        request = super()._last(words, source, fields)
        known = [fill(self._known, reference.payload) for reference in source.references]
        return "\n\n".join([*known, request])


async def think_and_answer(
    chat: Chat, messages: Sequence[Message], prefill: str, tokens: int
) -> str:
    """Let the model think for so many tokens at most, then answer from `prefill` on; the whole of
    its turn. A model that ends its turn within the thought has answered."""
    limit = min(tokens, chat.sampling.max_tokens)
    sampling = replace(chat.sampling, max_tokens=limit, stop=(CLOSE,))
    said = await chat.say(*messages, prefill=OPEN, sampling=sampling)
    if CLOSE in said:
        return await chat.resume(f"\n{prefill}")
    return await chat.resume(f"\n{CLOSE}\n{prefill}") if chat.truncated else said
