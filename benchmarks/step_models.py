"""Models by their shapes, with random weights: what a machine computes does not depend on them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from azr_fast.policy.footprint import ModelShape
from azr_fast.policy.models import ModelFiles, resolve_model

# The public configs of SmolLM2-135M and Qwen2.5-Coder-0.5B, -1.5B, -3B and -7B.
QWEN: dict[str, Any] = {"vocab_size": 151936, "tie_word_embeddings": True}
CONFIGS: dict[str, dict[str, Any]] = {
    "135M": {
        "model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
        "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    },
    "0.5B": QWEN | {
        "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
        "num_attention_heads": 14, "num_key_value_heads": 2,
    },
    "1.5B": QWEN | {
        "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
        "num_attention_heads": 12, "num_key_value_heads": 2,
    },
    "3B": QWEN | {
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
        "num_attention_heads": 16, "num_key_value_heads": 2,
    },
    "7B": QWEN | {
        "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944,
        "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
        "tie_word_embeddings": False,
    },
}  # fmt: skip
# What a reduced run computes with; heads of 16, the least that FlexAttention takes.
TINY: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 49152, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "tie_word_embeddings": True, "initializer_range": 0.2,
}  # fmt: skip


def shape_of(name: str) -> ModelShape:
    """The sizes of one of CONFIGS, in elements."""
    sizes = CONFIGS[name]
    hidden, layers = sizes["hidden_size"], sizes["num_hidden_layers"]
    width = hidden // sizes["num_attention_heads"]
    keys, inner = width * sizes["num_key_value_heads"], sizes["intermediate_size"]
    biases = 0 if sizes.get("model_type") == "llama" else hidden + 2 * keys
    layer = 2 * hidden * (hidden + keys) + 3 * hidden * inner + 2 * hidden + biases
    tables = sizes["vocab_size"] * hidden * (1 if sizes["tie_word_embeddings"] else 2)
    return ModelShape(
        parameters=layers * layer + tables + hidden,
        vocabulary=sizes["vocab_size"],
        hidden=hidden,
        feed_forward=inner,
        layers=layers,
        queries=hidden,
        keys=keys,
        tied=sizes["tie_word_embeddings"],
    )


def make_model(sizes: dict[str, Any], folder: Path, dtype: torch.dtype, device: str) -> ModelFiles:
    """A folder with a random model of these sizes, which Policy loads."""
    kind = sizes.get("model_type", "qwen2")
    config = AutoConfig.for_model(kind, **{k: v for k, v in sizes.items() if k != "model_type"})
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.save_pretrained(folder)
    if not (folder / "tokenizer.json").exists():
        (folder / "tokenizer.json").write_text("{}")
    return ModelFiles(folder, folder.name)


def make_tiny(folder: Path) -> ModelFiles:
    """A tiny random model that speaks with SmolLM2's tokenizer."""
    folder.mkdir(parents=True)
    for path in resolve_model("smollm2-135m").folder.iterdir():
        if path.suffix != ".safetensors" and path.name != "config.json":
            shutil.copy(path, folder)
    return make_model(TINY, folder, torch.float32, "cpu")
