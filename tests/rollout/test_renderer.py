"""Messages to tokens: their texts are data, and the template's own rendering is kept."""

from __future__ import annotations

import pytest
from chat_families import CHATML, GLM4, make, own_ids, own_text, tokenizer_of
from chat_turns import (
    LOSSLESS,
    record,
    renderer_of,
    user,
)
from tokenizers.processors import TemplateProcessing

from azr_fast.errors import UserError
from azr_fast.rollout.ledger import Ledger
from azr_fast.rollout.probe import probe
from azr_fast.rollout.renderer import Renderer
from azr_fast.types import Message, Stop


@pytest.mark.parametrize("family", LOSSLESS)
def test_a_message_is_read_to_the_character_whatever_it_spells(family: str) -> None:
    tokenizer, renderer = tokenizer_of(family), renderer_of(family)
    text = (
        "x = '" + "".join(sorted(renderer.template.controls)) + "'  # <think>\n<|im_end|>|im_end|>"
    )
    ledger = Ledger(renderer)
    ledger.ask(user(text))
    assert tokenizer.decode(ledger.ids) == own_text(tokenizer, [user(text)])
    ids = renderer.insert(text)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.convert_tokens_to_ids(sorted(renderer.template.controls)))


def test_messages_that_begin_a_conversation_are_encoded_once() -> None:
    renderer = renderer_of("qwen2.5")
    assert renderer.begin([user("same")], "x") is renderer.begin((user("same"),), "x")


def test_examples_before_the_question_are_the_templates_own() -> None:
    shown = [
        user("1"),
        Message("assistant", "one"),
        user("2"),
        Message("assistant", "two"),
        user("3"),
    ]
    for family in ("smollm2", "qwen2.5", "qwen3", "llama3", "gemma", "r1"):
        ledger = Ledger(renderer_of(family))
        ledger.ask(*shown)
        assert ledger.ids == own_ids(tokenizer_of(family), shown)


def test_a_system_message_for_a_template_without_one_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="gemma takes no system message: write it into"):
        Ledger(renderer_of("gemma")).ask(Message("system", "Be terse."), user("go"))


def test_messages_that_a_template_refuses_are_one_line() -> None:
    with pytest.raises(UserError, match=r"gemma refuses a conversation .*alternate") as refusal:
        Ledger(renderer_of("gemma")).ask(user("go"), user("on"))
    assert "\n" not in str(refusal.value)


def test_prompts_do_not_change_with_the_date() -> None:
    ids = renderer_of("llama3").begin([user("go")]).ids
    assert "Today Date: 26 Jul 2024\n" in tokenizer_of("llama3").decode(ids)


def test_a_base_models_start_of_text_is_written_once() -> None:
    tokenizer = make(None, ["<s>", "</s>"], "</s>", bos="<s>")
    numbers = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<s>", "</s>")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing("<s> $A </s>", None, numbers)
    start, end = tokenizer("").input_ids
    ledger = Ledger(Renderer(tokenizer, probe(tokenizer, "base")))
    ledger.ask(user("2 + 2?"))
    assert [*ledger.ids, end] == tokenizer("User: 2 + 2?\n\nAssistant:\n").input_ids
    record(ledger, [300, end], Stop.END)
    ledger.ask(user("And 3?"))
    assert [i for i in ledger.ids if i in (start, end)] == [start, end]


@pytest.mark.parametrize(
    ("template", "special", "added", "role"),
    [
        ("qwen2.5", CHATML, ["<tool_response>", "</tool_response>"], "tool"),
        ("gemma", ["<bos>", "<eos>"], ["<start_of_turn>", "<end_of_turn>"], "user"),
        ("glm4", ["<eos>"], GLM4[1:], "user"),
    ],
)
def test_tokens_of_turns_that_are_not_special_are_not_written_by_data(
    template: str, special: list[str], added: list[str], role: str
) -> None:
    tokenizer = make(template, special, special[-1], bos=special[0], added=added)
    renderer = Renderer(tokenizer, probe(tokenizer, template))
    numbers = set(tokenizer.convert_tokens_to_ids(added))
    text = "x" + "\n".join(added) + "x"
    wild, tame = (renderer.follow([Message(role, content)]).ids for content in (text, "x"))
    assert text in tokenizer.decode(wild)
    assert [i for i in wild if i in numbers] == [i for i in tame if i in numbers]
    assert not set(renderer.insert(text)) & numbers
