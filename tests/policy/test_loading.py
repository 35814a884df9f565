"""A model loads when every weight came from its files and is a number."""

from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import make_model

from azr_fast.config.schema import ModelConfig, RolloutConfig
from azr_fast.errors import UserError
from azr_fast.policy.loading import load_model
from azr_fast.policy.models import ModelFiles
from azr_fast.rollout.transformers_engine import TransformersEngine


@pytest.fixture
def folder(tmp_path):
    make_model("qwen2", tie_word_embeddings=False).save_pretrained(tmp_path)
    return tmp_path


def rewrite(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def refusal(folder) -> str:
    """By the trainer's loader; the engine's says the same."""
    files = ModelFiles(folder, "tiny")
    with pytest.raises(UserError) as refused:
        load_model(files, torch.bfloat16)
    said = str(refused.value)
    assert "\n" not in said
    rollout = RolloutConfig(max_prompt_tokens=8, max_new_tokens=8)
    with pytest.raises(UserError) as by_engine:
        TransformersEngine(rollout, files, frozenset(), ModelConfig(device="cpu"))
    assert str(by_engine.value) == said
    return said


def test_a_whole_model_loads_in_evaluation_mode(folder):
    model = load_model(ModelFiles(folder, "tiny"), torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert not model.training


def test_missing_tensors_are_named(folder):
    rewrite(folder, lambda w: w.pop("model.layers.1.mlp.up_proj.weight"))
    assert "has no weights for: model.layers.1.mlp.up_proj.weight: get the" in refusal(folder)


def test_a_missing_head_is_named_and_a_tied_one_is_not_missing(folder):
    rewrite(folder, lambda w: w.pop("lm_head.weight"))
    assert "has no weights for: lm_head.weight" in refusal(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    load_model(ModelFiles(folder, "tiny"), torch.float32)


def test_unexpected_tensors_are_named(folder):
    extra = {f"model.layers.{n}.mlp.up_proj.weight": torch.zeros(2, 2) for n in range(2, 9)}
    rewrite(folder, lambda w: w.update(extra))
    said = refusal(folder)
    assert "weights that its model type does not know: model.layers.2.mlp.up_proj.weight, " in said
    assert "and 4 more" in said


def test_frequencies_that_old_files_carry_are_no_error(folder):
    frequencies = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(12)}
    rewrite(folder, lambda w: w.update(frequencies))
    load_model(ModelFiles(folder, "tiny"), torch.float32)


def test_tensors_of_another_shape_are_named_with_both_shapes(folder):
    rewrite(folder, lambda w: w.update({"model.norm.weight": torch.ones(95)}))
    assert "model.norm.weight (is (95,), must be (96,))" in refusal(folder)


@pytest.mark.parametrize("key", ["hidden_size", "vocab_size", "num_hidden_layers"])
def test_a_config_of_another_size_is_refused(folder, key):
    config = json.loads((folder / "config.json").read_text())
    config.pop("layer_types", None)
    (folder / "config.json").write_text(json.dumps(config | {key: 2 * config[key]}))
    assert "config.json" in refusal(folder)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_numbers_are_named(folder, value):
    def ruin(weights):
        weights["model.layers.1.self_attn.q_proj.bias"][3] = value
        weights["lm_head.weight"][96, 95] = value

    rewrite(folder, ruin)
    said = refusal(folder)
    assert "weights that are NaN or infinite: " in said
    assert "lm_head.weight" in said
    assert "model.layers.1.self_attn.q_proj.bias" in said
