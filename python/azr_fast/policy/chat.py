"""Prompts to token ids and back: the model's own chat template, or plain text without one."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from azr_fast.errors import UserError
from azr_fast.policy.library import quiet, told
from azr_fast.selfplay.types import Message, Prompt, Role

END_OF_TURN = "<|im_end|>"  # ends a turn in ChatML, whatever the model's files call eos
CACHED_PROMPTS = 4096
REMEDY = "get the tokenizer's files again, those that belong to this model"


class Renderer:
    """The tokenizer of one model folder. Safe to call from several threads.

    stop_ids: tokens that end an answer. vocabulary_size: ids are below it.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoConfig, AutoTokenizer

        with quiet(), told(f"cannot load the tokenizer of {folder}", REMEDY):
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            known = int(config.get_text_config().vocab_size)
            self.stop_ids: frozenset[int] = self._find_stop_ids(folder)
        added = self._tokenizer.added_tokens_decoder.values()
        self._special = tuple(token.content for token in added if token.special)
        self._encode = lru_cache(CACHED_PROMPTS)(self._encode_once)
        self.vocabulary_size: int = len(self._tokenizer)
        self._check_ids(folder, known)
        with told(f"the chat template of {folder} cannot be used", REMEDY):
            trial = self.encode(Prompt("trial", Role.SOLVER, (Message("user", "Hello"),)))
        if not trial:
            raise UserError(f"{folder} turns a prompt into no tokens: {REMEDY}")

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Token ids up to and including the prefill, ready for the model to continue."""
        return self._encode(prompt.messages, prompt.prefill)

    def decode(self, token_ids: tuple[int, ...]) -> str:
        """Text of sampled tokens without special tokens; broken UTF-8 becomes U+FFFD."""
        return str(
            self._tokenizer.decode(
                token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def _encode_once(self, messages: tuple[Message, ...], prefill: str) -> tuple[int, ...]:
        turns = [{"role": m.role, "content": self._plain(m.content)} for m in messages]
        templated = bool(self._tokenizer.chat_template)
        text = self._chat_text(turns) if templated else plain_text(turns)
        # A chat template writes its own start-of-text token; plain text needs the tokenizer's.
        return tuple(
            self._tokenizer(text + self._plain(prefill), add_special_tokens=not templated).input_ids
        )

    def _chat_text(self, turns: list[dict[str, str]]) -> str:
        return str(
            self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        )

    def _plain(self, content: str) -> str:
        """Content that spells a special token must not become one: a task could end its turn."""
        for token in self._special:
            content = content.replace(token, f"{token[0]} {token[1:]}")
        return content

    def _find_stop_ids(self, folder: Path) -> frozenset[int]:
        ids = {self._tokenizer.eos_token_id, self._tokenizer.get_vocab().get(END_OF_TURN)}
        for name in ("config.json", "generation_config.json"):
            ids |= _eos_ids(folder / name)
        return frozenset(token for token in ids if token is not None)

    def _check_ids(self, folder: Path, known: int) -> None:
        """Every id that the tokenizer gives, or that ends an answer, has a row of the embedding."""
        largest = max(self._tokenizer.get_vocab().values(), default=-1)
        if not 0 <= largest < known:
            raise UserError(
                f"{folder} has a tokenizer with ids up to {largest} and a model of {known} ids: "
                f"{REMEDY}"
            )
        outside = [token for token in self.stop_ids if token not in range(known)]
        if outside:
            raise UserError(
                f"{folder} ends answers by token {outside[0]} (eos_token_id), and its model has "
                f"{known} ids: mend config.json and generation_config.json"
            )


def plain_text(turns: list[dict[str, str]]) -> str:
    """User/Assistant text for base models, open for the assistant's answer."""
    heads = {"system": "", "user": "User: ", "assistant": "Assistant: "}
    return "\n\n".join([*(heads[t["role"]] + t["content"] for t in turns), "Assistant:\n"])


def _eos_ids(file: Path) -> set[int]:
    """eos_token_id of a config file: one id, a list of ids, or absent."""
    if not file.is_file():
        return set()
    eos = json.loads(file.read_bytes()).get("eos_token_id")
    return set(eos if isinstance(eos, list) else [eos]) - {None}
