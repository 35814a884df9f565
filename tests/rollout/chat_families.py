"""Small tokenizers with the special tokens and the chat templates of well-known families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)  # fmt: skip
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from azr_fast.policy.models import resolve_model
from azr_fast.rollout.chat_text import DAY, ChatText
from azr_fast.types import Message

TEMPLATES = Path(__file__).parent / "templates"
# Words, numbers, signs with the newlines after them, and newlines, as in Llama 3 and Qwen.
SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEXTS = [
    "def f(items, k):\n    counts = {}\n    return sorted(counts, key=counts.get)[:k]\n",
    "User: What does the function return?\n\nAssistant: It returns the most frequent items.",
    "Think first, then answer. The output of the tool is an error: name 'x' is not defined.",
    "for number in range(10):\n        print(number, number ** 2)\n\n\nimport system, user, assistant",
]
CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN = {"special": CHATML, "eos": "<|im_end|>", "added": ["<tool_response>", "</tool_response>"]}
LLAMA3 = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
]  # fmt: skip
R1 = [
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>",
    "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>",
]  # fmt: skip
GLM4 = [
    "<|endoftext|>",
    "[gMASK]",
    "<sop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
]
TAGS = ["<think>", "</think>"]


@cache
def byte_level() -> str:
    """A byte-level BPE of 700 pieces, as JSON: what it was taught on has many ways to be encoded."""
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(SPLIT), behavior="isolated")
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pieces])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS * 2, trainer)
    return tokenizer.to_str()


def make(
    template: str | None,
    special: Sequence[str],
    eos: str,
    bos: str | None = None,
    added: Sequence[str] = (),
) -> PreTrainedTokenizerFast:
    """A tokenizer with these special tokens, and `added` ones that are not special."""
    backend = Tokenizer.from_str(byte_level())
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    backend.add_tokens([AddedToken(token, normalized=False) for token in added])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos, bos_token=bos)
    if template:
        tokenizer.chat_template = (TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8")
    return tokenizer


def phi3() -> PreTrainedTokenizerFast:
    tokenizer = make("phi3", ["<|endoftext|>"], "<|endoftext|>")
    names = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    tokenizer.add_tokens([AddedToken(name, rstrip=True, special=True) for name in names])
    return tokenizer


def legacy() -> PreTrainedTokenizerFast:
    """As SentencePiece was converted at first: a space before every text, also after a token."""
    letters = {letter for text in (*TEXTS, *map(chr, range(33, 127)), "\n日本é") for letter in text}
    words = {f"▁{word}" for text in TEXTS for word in text.split()}
    pieces = [(piece, -float(10 - len(piece))) for piece in sorted(letters - {" "} | words)]
    backend = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -5.0), *pieces], unk_id=0))
    space = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    backend.normalizer = normalizers.Sequence(space)
    text = [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(text)
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in CHATML])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>")
    tokenizer.chat_template = (TEMPLATES / "qwen2.5.jinja").read_text(encoding="utf-8")
    return tokenizer


@cache
def tokenizer_of(family: str) -> Any:
    """The tokenizer of a family, made once."""
    if family == "smollm2":
        return AutoTokenizer.from_pretrained(resolve_model("smollm2-135m").folder)
    makers = {
        "qwen2.5": lambda: make("qwen2.5", **QWEN),
        "qwen3": lambda: make("qwen3", CHATML, "<|im_end|>", added=[*QWEN["added"], *TAGS]),
        "qwen3.5": lambda: make("qwen3.5", CHATML, "<|im_end|>", added=[*QWEN["added"], *TAGS]),
        "llama3": lambda: make("llama3", LLAMA3, "<|eot_id|>", bos="<|begin_of_text|>"),
        "gemma": lambda: make(
            "gemma",
            ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"],
            "<eos>",
            "<bos>",
        ),
        "r1": lambda: make("r1", R1, R1[1], bos=R1[0], added=TAGS),
        "glm4": lambda: make("glm4", GLM4, "<|endoftext|>", added=TAGS),
        "thinks": lambda: make("thinks", [*CHATML, *TAGS], "<|im_end|>"),
        "switch": lambda: make("switch", CHATML, "<|im_end|>", added=TAGS),
        "numbers": lambda: make("numbers", CHATML, "<|im_end|>"),
        "spaced": lambda: make("spaced", ["<s>", "</s>"], "</s>", bos="<s>"),
        "phi3": phi3,
        "legacy": legacy,
        "base": lambda: make(None, ["<|endoftext|>"], "<|endoftext|>"),
    }
    return makers[family]()


def own_text(tokenizer: Any, messages: Sequence[Message], ask: bool = True) -> str:
    """What the tokenizer's own template writes, or the plain form."""
    return ChatText(tokenizer).write(messages, ask)


def own_ids(tokenizer: Any, messages: Sequence[Message], ask: bool = True) -> list[int]:
    """The template's own rendering of a whole conversation, by transformers alone."""
    if not tokenizer.chat_template:
        return list(tokenizer(own_text(tokenizer, messages, ask)).input_ids)
    turns = [{"role": message.role, "content": message.content} for message in messages]
    encoded = tokenizer.apply_chat_template(
        turns, add_generation_prompt=ask, strftime_now=DAY.strftime
    )
    return list(encoded["input_ids"])


@dataclass(frozen=True)
class Family:
    """A family by name; `followers` may come after its answers.

    is_lossless: its ids, decoded, are the text that was encoded."""

    name: str
    followers: tuple[str, ...]
    is_lossless: bool = True


KEPT = (
    Family("smollm2", ("user", "tool", "system")),
    Family("qwen2.5", ("user", "tool", "system")),
    Family("qwen3", ("tool", "system")),
    Family("qwen3.5", ("tool",)),
    Family("llama3", ("user", "tool", "system")),
    Family("gemma", ("user",)),
    Family("glm4", ("user", "tool", "system")),
    Family("thinks", ("user", "tool", "system")),
    Family("phi3", ("user", "system"), is_lossless=False),
    Family("legacy", ("user", "tool", "system"), is_lossless=False),
    Family("base", ("user", "tool", "system")),
)
