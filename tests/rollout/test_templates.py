"""Facts of chat templates, each known from the template's text and found here by rendering."""

from __future__ import annotations

from typing import Any

import pytest
from chat_families import CHATML, KEPT, TEMPLATES, make, own_text, tokenizer_of

from azr_fast.errors import UserError
from azr_fast.rollout.probe import probe
from azr_fast.rollout.templates import Template
from azr_fast.types import Message

SMOLLM2_SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
QWEN_SYSTEM = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
LLAMA3_SYSTEM = (
    "<|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
)


def facts(family: str) -> Template:
    return probe(tokenizer_of(family), family)


def tokens(family: str, template: Template) -> set[str]:
    return set(tokenizer_of(family).convert_ids_to_tokens(sorted(template.ends)))


@pytest.mark.parametrize(
    ("family", "ends", "after"),
    [
        ("smollm2", {"<|im_end|>"}, "\n"),
        ("qwen2.5", {"<|im_end|>"}, "\n"),
        ("qwen3", {"<|im_end|>"}, "\n"),
        ("qwen3.5", {"<|im_end|>"}, "\n"),
        ("llama3", {"<|eot_id|>"}, ""),
        ("gemma", {"<end_of_turn>", "<eos>"}, "\n"),
        ("r1", {"<｜end▁of▁sentence｜>"}, ""),
        ("phi3", {"<|end|>", "<|endoftext|>"}, "\n"),
        ("legacy", {"<|im_end|>"}, "\n"),
        ("glm4", {"<|endoftext|>", "<|user|>", "<|observation|>", "<|system|>"}, ""),
        ("base", {"<|endoftext|>"}, ""),
    ],
)
def test_ends_of_a_turn_and_what_follows_them(family: str, ends: set[str], after: str) -> None:
    template = facts(family)
    assert tokens(family, template) == ends
    assert template.after_end == after


def test_the_models_files_can_name_more_ends() -> None:
    tokenizer = tokenizer_of("qwen2.5")
    text_end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert probe(tokenizer, "qwen2.5", [text_end]).ends == {text_end, tokenizer.eos_token_id}


@pytest.mark.parametrize(
    ("family", "takes", "preamble"),
    [
        ("smollm2", True, SMOLLM2_SYSTEM),
        ("qwen2.5", True, QWEN_SYSTEM),
        ("qwen3", True, ""),
        ("qwen3.5", True, ""),
        ("llama3", True, LLAMA3_SYSTEM),
        ("gemma", False, ""),
        ("r1", True, ""),
        ("glm4", True, "[gMASK]<sop>"),
        ("phi3", True, ""),
        ("base", True, ""),
    ],
)
def test_system_messages(family: str, takes: bool, preamble: str) -> None:
    template = facts(family)
    assert template.takes_system is takes
    assert template.preamble == preamble
    if takes:
        template.require_system()
    else:
        with pytest.raises(UserError, match=f"template of {family} takes no system message: write"):
            template.require_system()


@pytest.mark.parametrize(
    ("family", "head", "opens", "drops", "special"),
    [
        ("smollm2", "", False, False, set()),
        ("qwen2.5", "", False, False, set()),
        ("qwen3", "", False, True, set()),
        ("qwen3.5", "<think>\n", True, True, set()),
        ("llama3", "", False, False, set()),
        ("gemma", "", False, False, set()),
        ("r1", "<think>\n", True, True, set()),
        ("thinks", "<think>\n", True, False, {"<think>", "</think>"}),
        ("base", "", False, False, set()),
    ],
)
def test_thoughts(family: str, head: str, opens: bool, drops: bool, special: set[str]) -> None:
    template = facts(family)
    assert template.answer_head == head
    assert template.opens_thought is opens
    assert template.drops_thoughts is drops
    assert template.special_tags == special


@pytest.mark.parametrize("family", KEPT, ids=lambda family: family.name)
def test_who_may_follow_an_answer(family: Any) -> None:
    template = facts(family.name)
    assert {"user", "tool", "system"} - template.refusals.keys() == set(family.followers)
    template.require(family.followers)


@pytest.mark.parametrize(
    ("family", "role", "reason"),
    [
        ("qwen3", "user", "drops the thoughts of earlier answers when a user message follows"),
        ("qwen3.5", "user", "drops the thoughts of earlier answers when a user message follows"),
        ("qwen3.5", "system", "takes no system message after an answer"),
        ("gemma", "tool", "takes no tool message after an answer"),
        ("gemma", "system", "takes no system message after an answer"),
        ("r1", "user", "drops the thoughts of earlier answers when a user message follows"),
        ("r1", "tool", "drops the thoughts of earlier answers when a tool message follows"),
        ("numbers", "tool", "writes a later tool message otherwise than the first"),
        ("spaced", "user", "rewrites what was there before a user message"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(family: str, role: str, reason: str) -> None:
    template = facts(family)
    with pytest.raises(UserError, match=f"the chat template of {family} {reason}") as refusal:
        template.require([role])
    assert "\n" not in str(refusal.value)


def test_only_the_plain_form_stops_at_a_text() -> None:
    stops = {family.name: facts(family.name).stop_strings for family in KEPT}
    assert stops.pop("base") == ("\n\nUser:",)
    assert set(stops.values()) == {()}


def test_the_plain_form_is_named_and_continues_what_it_shows() -> None:
    template = facts("base")
    assert template.is_plain
    turns = [Message("system", "Be terse."), Message("user", "2 + 2?"), Message("assistant", "4")]
    text = own_text(tokenizer_of("base"), [*turns, Message("user", "And 3?")])
    assert text == "Be terse.\n\nUser: 2 + 2?\n\nAssistant:\n4\n\nUser: And 3?\n\nAssistant:\n"


def test_a_template_without_its_tokens_stops_at_its_text() -> None:
    tokenizer = make("numbers", ["<|endoftext|>"], "<|endoftext|>")
    template = probe(tokenizer, "untaught")
    assert template.ends == {tokenizer.eos_token_id}
    assert template.stop_strings == ("<|im_end|>",)


def test_tokens_of_a_turn_that_are_not_special_are_found() -> None:
    tokenizer = make(
        "gemma", ["<pad>", "<eos>", "<bos>"], "<eos>", "<bos>", ["<start_of_turn>", "<end_of_turn>"]
    )
    template = probe(tokenizer, "gemma")
    assert tokenizer.convert_tokens_to_ids("<end_of_turn>") in template.ends
    assert "<end_of_turn>" in template.controls & template.structure


def test_a_thought_that_was_opened_and_closed_is_not_open() -> None:
    tokenizer = make("thinks", ["<|im_start|>", "<|im_end|>"], "<|im_end|>")
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "<think>\\n' if", "<think>\\n\\n</think>\\n\\n' if"
    )
    template = probe(tokenizer, "closed")
    assert template.answer_head == "<think>\n\n</think>\n\n"
    assert not template.opens_thought


@pytest.mark.parametrize("tag", ["[THINK]", "<reasoning>", "<|START_THINKING|>", "◁think▷"])
def test_thoughts_under_other_tags(tag: str) -> None:
    tokenizer = make("thinks", ["<|im_start|>", "<|im_end|>", tag], "<|im_end|>")
    tokenizer.chat_template = tokenizer.chat_template.replace("<think>", tag)
    template = probe(tokenizer, "other")
    assert template.opens_thought
    assert template.special_tags == {tag}
    assert tag in template.controls - template.structure


@pytest.mark.parametrize(
    "broken", ["{{ raise_exception('no') }}", "{% for", "{{ messages[0].text.upper() }}"]
)
def test_a_template_that_writes_nothing_is_refused_by_name(broken: str) -> None:
    tokenizer = make("qwen2.5", ["<|im_end|>"], "<|im_end|>")
    tokenizer.chat_template = broken
    with pytest.raises(UserError, match="the chat template of odd cannot be used") as refusal:
        probe(tokenizer, "odd")
    assert "\n" not in str(refusal.value)


def test_a_template_for_one_turn_alone_is_used_for_one_turn() -> None:
    tokenizer = make("qwen2.5", ["<|im_end|>"], "<|im_end|>")
    tokenizer.chat_template = "{{ 'Q: ' ~ messages[-1].content ~ '\n' if messages | length < 2 else raise_exception('one') }}"
    template = probe(tokenizer, "single")
    assert template.ends == {tokenizer.eos_token_id}
    assert template.refusals.keys() == {"user", "tool", "system"}


def test_every_template_has_a_family() -> None:
    names = {path.stem for path in TEMPLATES.glob("*.jinja")}
    assert all(tokenizer_of(name).chat_template for name in names)


def test_a_space_before_the_end_of_a_turn_is_refused() -> None:
    tokenizer = make("thinks", CHATML, "<|im_end|>")
    tokenizer.chat_template = tokenizer.chat_template.replace("'<|im_end|>", "' <|im_end|>")
    template = probe(tokenizer, "wide")
    assert template.ends == {tokenizer.eos_token_id}
    with pytest.raises(UserError, match="wide writes white space between an answer and the end"):
        template.require(["user"])


def test_a_system_message_that_moves_is_refused() -> None:
    """As Mistral's: it stands before the user's last message, wherever that is."""
    tokenizer = make("thinks", CHATML, "<|im_end|>")
    tokenizer.chat_template = (
        "{% set rules = messages[0].content ~ '\\n' if messages[0].role == 'system' else '' %}"
        "{% for m in messages if m.role != 'system' %}{{ '<|im_start|>' ~ m.role ~ '\\n' }}"
        "{{ rules if loop.last else '' }}{{ m.content ~ '<|im_end|>\\n' }}{% endfor %}"
        "{{ '<|im_start|>assistant\\n' if add_generation_prompt else '' }}"
    )
    template = probe(tokenizer, "moving")
    assert template.takes_system
    with pytest.raises(
        UserError, match="moving writes a later user message otherwise than the first"
    ):
        template.require(["user"])


def test_the_whole_token_ends_a_turn() -> None:
    tokenizer = make("thinks", ["<|im_", *CHATML], "<|endoftext|>")
    ends = probe(tokenizer, "parts").ends
    assert set(tokenizer.convert_ids_to_tokens(sorted(ends))) == {"<|endoftext|>", "<|im_end|>"}
