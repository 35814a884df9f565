"""A renderer from a folder: its tokenizer, the facts of its template, and the ids of its model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chat_families import CHATML, make
from transformers import AutoConfig

from azr_fast.errors import UserError
from azr_fast.policy.models import ModelFiles, resolve_model
from azr_fast.rollout.load import load_renderer
from azr_fast.types import Message


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    """A folder without weights: a ChatML tokenizer, whose model has a few more ids than it."""
    tokenizer = make("thinks", CHATML, "<|im_end|>")
    tokenizer.save_pretrained(tmp_path)
    end = tokenizer.eos_token_id
    config = AutoConfig.for_model("llama", vocab_size=len(tokenizer) + 7, eos_token_id=end)
    config.save_pretrained(tmp_path)
    return ModelFiles(tmp_path, "toy")


def set_key(files: ModelFiles, file: str, key: str, value: Any) -> None:
    path = files.folder / file
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(known | {key: value}))


def test_the_built_in_model() -> None:
    renderer = load_renderer(resolve_model("smollm2-135m"))
    assert renderer.template.ends == {2}
    assert renderer.template.model == "smollm2-135m"
    assert not renderer.template.refusals


def test_the_plain_form_can_stand_in_for_a_template(files: ModelFiles) -> None:
    """As base models are trained in the AZR paper, whatever their tokenizer has."""
    plain = load_renderer(files, plain=True)
    given = plain.begin([Message("user", "Hello")], "<think>\n")
    assert plain.text(given.ids) == "User: Hello\n\nAssistant:\n<think>\n"
    assert plain.template.stop_strings == ("\n\nUser:",)
    assert "<|im_start|>" in load_renderer(files).text(
        load_renderer(files).begin([Message("user", "Hello")]).ids
    )


def test_every_digit_is_a_token_and_indents_stay_whole() -> None:
    tokens = load_renderer(resolve_model("smollm2-135m"))._tokenizer.tokenize("\n    12 + 3")
    assert [t for t in tokens if t.isdigit()] == ["1", "2", "3"]
    assert tokens[0] == "ĊĠĠĠĠ"  # not "ĊĠĠĠ" + "Ġ": the model saw digits split off first


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_every_listed_eos_ends_an_answer(files: ModelFiles, file: str) -> None:
    ends = load_renderer(files).template.ends
    set_key(files, file, "eos_token_id", [3, 5])
    assert load_renderer(files).template.ends == ends | {3, 5}


def test_a_files_eos_may_be_absent(files: ModelFiles) -> None:
    ends = load_renderer(files).template.ends
    set_key(files, "generation_config.json", "temperature", 0.7)
    set_key(files, "config.json", "eos_token_id", None)
    assert load_renderer(files).template.ends == ends


def test_an_eos_that_the_model_lacks_is_refused(files: ModelFiles) -> None:
    set_key(files, "generation_config.json", "eos_token_id", 50000)
    with pytest.raises(UserError, match=r"ends answers by token 50000 \(eos_token_id\), and"):
        load_renderer(files)


def test_a_tokenizer_of_another_model_is_refused(files: ModelFiles) -> None:
    set_key(files, "config.json", "vocab_size", 100)
    with pytest.raises(
        UserError, match=r"tokenizer with ids up to \d+ and a model of 100 ids: get"
    ):
        load_renderer(files)


def test_a_tokenizer_without_its_file_is_refused(files: ModelFiles) -> None:
    (files.folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="the tokenizer of") as refusal:
        load_renderer(files)
    assert "\n" not in str(refusal.value)


def test_refusals_give_the_models_name(files: ModelFiles) -> None:
    (files.folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    renderer = load_renderer(files)
    with pytest.raises(UserError, match="template of toy takes no user message after an answer"):
        renderer.follow([Message("user", "on")])
