import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.policy import Policy

sys.path.insert(0, str(Path(__file__).parent))  # for tiny_models

VOCABULARY = 61


def saved(model, folder: Path, name: str, **options) -> ModelFiles:
    """A folder of this model, with a tokenizer that nobody asks for anything."""
    model.save_pretrained(folder, **options)
    (folder / "tokenizer.json").write_text("{}")
    return ModelFiles(folder, name)


def make_tiny(folder: Path, tied: bool = True, shard: str = "1GB") -> ModelFiles:
    """A random two-layer Llama with grouped-query attention, in fp32."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=tied,
        initializer_range=0.2,
    )
    return saved(LlamaForCausalLM(config), folder, "tiny", max_shard_size=shard)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> ModelFiles:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_untied(tmp_path_factory) -> ModelFiles:
    return make_tiny(tmp_path_factory.mktemp("untied"), tied=False)


@pytest.fixture(scope="session")
def tiny_sharded(tmp_path_factory) -> ModelFiles:
    files = make_tiny(tmp_path_factory.mktemp("sharded"), shard="10KB")
    assert (files.folder / "model.safetensors.index.json").exists()
    return files


@pytest.fixture(scope="session")
def wide(tmp_path_factory) -> ModelFiles:
    """A model whose widths are those of a real one, an eighth of them: Qwen3 has norms of heads."""
    folder = tmp_path_factory.mktemp("wide")
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=500,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
    )
    return saved(Qwen3ForCausalLM(config), folder, "wide")


@pytest.fixture
def make_policy(tiny):
    """A policy over the tiny model; keywords are keys of UpdateConfig, and those below."""

    def make(dtype="float32", temperature=1.0, files=tiny, device="cpu", **update) -> Policy:
        model = ModelConfig(name="tiny", dtype=dtype, device=device)
        return Policy(files, model, UpdateConfig(**update), temperature)

    return make
