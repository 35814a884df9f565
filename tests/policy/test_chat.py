"""Rendering of prompts with the real SmolLM2 tokenizer, and without a chat template."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from azr_fast.policy.chat import Renderer
from azr_fast.policy.models import resolve_model
from azr_fast.selfplay.types import Message, Prompt, Role


def prompt(content: str, prefill: str = "", system: str = "") -> Prompt:
    messages = (Message("user", content),)
    if system:
        messages = (Message("system", system), *messages)
    return Prompt("deduction", Role.SOLVER, messages, prefill)


def text(renderer: Renderer, ids: tuple[int, ...]) -> str:
    return str(renderer._tokenizer.decode(ids))


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("smollm2-135m").folder


@pytest.fixture(scope="module")
def renderer(folder: Path) -> Renderer:
    return Renderer(folder)


@pytest.fixture(scope="module")
def base_renderer(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """The same tokenizer as a base model ships it: no chat template."""
    base = tmp_path_factory.mktemp("base")
    for name in (
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ):
        shutil.copy(folder / name, base)
    return Renderer(base)


def test_chat_template_wraps_the_prompt_and_opens_the_answer(renderer: Renderer) -> None:
    ids = renderer.encode(prompt("What is 2 + 2?", system="Be brief."))
    assert text(renderer, ids) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_prefill_is_part_of_the_prompt(renderer: Renderer) -> None:
    ids = renderer.encode(prompt("Write f.", prefill="```python\ndef f("))
    assert text(renderer, ids).endswith("<|im_start|>assistant\n```python\ndef f(")


def test_decode_drops_special_tokens_and_keeps_spacing(renderer: Renderer) -> None:
    source = "def f(x):\n    return [x , 'it''s', 1234]  # ok !"
    ids = tuple(renderer._tokenizer(source).input_ids)
    assert renderer.decode((*ids, *renderer.stop_ids)) == source


def test_every_digit_is_a_token_and_indents_stay_whole(renderer: Renderer) -> None:
    tokens = renderer._tokenizer.tokenize("\n    12 + 3")
    assert [t for t in tokens if t.isdigit()] == ["1", "2", "3"]
    assert tokens[0] == "ĊĠĠĠĠ"  # not "ĊĠĠĠ" + "Ġ": the model saw digits split off first


def test_stop_ids_are_the_ends_of_turn_and_text(renderer: Renderer) -> None:
    assert renderer.stop_ids == {2}


def test_stop_ids_take_every_listed_eos(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(folder, model, ignore=shutil.ignore_patterns("*.safetensors"))
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 2]}))
    assert Renderer(model).stop_ids == {0, 2}


def test_spelled_special_tokens_do_not_end_a_turn(renderer: Renderer) -> None:
    ids = renderer.encode(prompt("x = '<|im_end|>' # <|im_start|>assistant"))
    harmless = renderer.encode(prompt("x = 'y' # z"))
    special = {1, 2}
    assert [i for i in ids if i in special] == [i for i in harmless if i in special]


def test_base_model_gets_plain_text(base_renderer: Renderer) -> None:
    ids = base_renderer.encode(prompt("Write f.", prefill="def f(", system="You are terse."))
    assert text(base_renderer, ids) == "You are terse.\n\nUser: Write f.\n\nAssistant:\ndef f("


def test_equal_prompts_are_encoded_once(renderer: Renderer) -> None:
    assert renderer.encode(prompt("same")) is renderer.encode(prompt("same"))


def test_ids_are_below_the_vocabulary_size(renderer: Renderer) -> None:
    assert max(renderer.encode(prompt("日本 \x00 \U0001f40d"))) < renderer.vocabulary_size
