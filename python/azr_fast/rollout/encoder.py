"""Text to token ids, where text that only spells a control token stays text.

A program, a tool's output or a task may hold "<|im_end|>". As a token it would end a turn, so what
others wrote is encoded as the characters it consists of. It is neither altered nor encoded apart:
the tokenizer splits text into the same tokens as it does without this care.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from secrets import token_hex
from typing import Any

from tokenizers import AddedToken, Tokenizer

_ANCHORS = ("\n", "x")


class Encoder:
    """A tokenizer that reads a control token only where `protect` has not been.

    It works on a copy of the tokenizer that knows each control token by a secret spelling alone.
    The caller's text is protected first, then put between markup, then encoded as a whole.
    """

    def __init__(self, tokenizer: Any, controls: Iterable[str]) -> None:
        secret = token_hex(8)  # nobody who writes text can know it; ids do not depend on it
        ids: dict[str, int] = {text: tokenizer.convert_tokens_to_ids(text) for text in controls}
        added = tokenizer.added_tokens_decoder
        self._guard = f"\ue000{secret}\ue001"
        self._spelling = {text: f"\ue000{secret}.{ids[text]}\ue001" for text in ids}
        self._control = _any_of(ids)
        self._tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True  # that is: as ordinary text
        self._tokenizer.add_special_tokens([_copy(added[ids[text]], text) for text in ids])
        self._tokenizer.add_tokens([_copy(added[ids[text]], self._spelling[text]) for text in ids])
        self._real = {
            self._tokenizer.token_to_id(self._spelling[text]): number
            for text, number in ids.items()
        }
        # Some vocabularies hold a control token as an ordinary piece too (Unigram models do).
        self._pieces = {text for text in ids if ids[text] in self._ids(text)}

    def protect(self, text: str, only: Iterable[str] | None = None) -> str:
        """The text with the control tokens in it, or `only` some, marked to be characters."""
        spelled = self._control if only is None else _any_of(only)
        return re.sub(f"(?=({spelled.pattern}))(.)", self._split, text, flags=re.DOTALL)

    def begins_with_control(self, text: str) -> bool:
        """Whether a text begins with a control token that is not protected."""
        return self._control.match(text) is not None

    def encode(self, text: str) -> list[int]:
        """Ids of a text that begins a sequence, or begins with a control token."""
        spelled = self._control.sub(lambda found: self._spelling[found[0]], text)
        ids = self._ids(spelled.replace(self._guard, ""))
        return [self._real.get(token, token) for token in ids]

    def encode_after_text(self, text: str) -> list[int]:
        """Ids of a text that goes on after other text: without the space that some tokenizers put
        before whatever they are given."""
        for anchor in _ANCHORS:
            before, ids = self.encode(anchor), self.encode(anchor + text)
            if ids[: len(before)] == before:
                return ids[len(before) :]
        return self.encode(text)

    def _split(self, found: re.Match[str]) -> str:
        """The first character of a control token and a mark; encode() takes the mark away, unless
        the characters alone would be that token again."""
        return found[2] + (" " if found[1] in self._pieces else self._guard)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _copy(token: AddedToken, text: str) -> AddedToken:
    """A token that is found as the given one is, under another spelling."""
    return AddedToken(
        text,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=False,
    )


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """What matches any of the texts, the longest that is there; nothing when there are none."""
    longest_first = sorted(filter(None, texts), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
