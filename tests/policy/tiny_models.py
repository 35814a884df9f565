"""Tiny random models of many architectures."""

from __future__ import annotations

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

SIZES = {
    "vocab_size": 97, "hidden_size": 96, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 24, "initializer_range": 0.1,
    "max_position_embeddings": 512, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip
OLD = {
    "vocab_size": 97, "n_embd": 96, "n_layer": 2, "n_head": 4, "n_positions": 512,
    "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.1,
}  # fmt: skip
EXPERTS = {
    "num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32,
}  # fmt: skip
LINEAR = {
    "layer_types": ["full_attention", "linear_attention"], "linear_num_value_heads": 4,
    "linear_num_key_heads": 2, "linear_key_head_dim": 24, "linear_value_head_dim": 24,
}  # fmt: skip
MAMBA = {"vocab_size": 97, "hidden_size": 64, "num_hidden_layers": 2, "state_size": 8}
BIDIRECTIONAL = {
    "vocab_size": 97, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 96, "max_position_embeddings": 512,
}  # fmt: skip

# Those whose layers mix tokens by full causal attention alone.
SOUND = {
    "llama": SIZES,
    "qwen2": SIZES,
    "qwen3": SIZES,
    "mistral": SIZES | {"sliding_window": None},
    "phi": SIZES,
    "phi3": SIZES,
    "olmo": SIZES,
    "olmo2": SIZES,
    "gpt_neox": SIZES,
    "opt": SIZES | {"ffn_dim": 96, "word_embed_proj_dim": 96},
    "gpt2": OLD,
    "gpt_bigcode": OLD,
    "gemma": SIZES,
    "granite": SIZES | {"logits_scaling": 1.0},
    "starcoder2": SIZES | {"sliding_window": None},
    "smollm3": SIZES,
    "mixtral": SIZES | EXPERTS,
    "qwen2_moe": SIZES | EXPERTS,
    "qwen3_moe": SIZES | EXPERTS,
}

# The others, with the module that is to blame and what is said of it.
UNSOUND = {
    "qwen3_next": (SIZES | LINEAR | EXPERTS, r"model\.layers\.1\.linear_attn mixes"),
    "qwen3_5_text": (SIZES | LINEAR, r"model\.layers\.1\.linear_attn mixes"),
    "lfm2": (SIZES | {"layer_types": ["full_attention", "conv"]}, r"model\.layers\.1\.conv mixes"),
    "mamba": (MAMBA, r"backbone\.layers\.0\.mixer mixes"),
    "mamba2": (
        MAMBA | {"num_heads": 8, "head_dim": 16, "n_groups": 1, "chunk_size": 16},
        r"backbone\.layers\.0\.mixer mixes",
    ),
    "bloom": (
        {"vocab_size": 97, "hidden_size": 64, "n_layer": 2, "n_head": 4},
        r"transformer\.h\.0\.self_attention mixes",
    ),
    "falcon": (BIDIRECTIONAL, r"transformer\.h\.0\.self_attention mixes"),
    "rwkv": (MAMBA | {"attention_hidden_size": 64}, r"rwkv\.blocks\.0\.attention\.time_shift mixes"),
    "gptj": (OLD | {"rotary_dim": 8}, r"transformer\.h\.0\.attn computes an answer otherwise"),
    "xlnet": (
        {"vocab_size": 97, "d_model": 64, "n_layer": 2, "n_head": 4, "d_inner": 96, "initializer_range": 0.1},
        "transformer mixes",
    ),
    "bert": (BIDIRECTIONAL, r"bert\.encoder\.layer\.0\.attention\.self computes otherwise"),
    "bart": (
        {
            "vocab_size": 97, "d_model": 64, "decoder_layers": 2, "decoder_attention_heads": 4,
            "decoder_ffn_dim": 96, "max_position_embeddings": 512,
        },
        r"model\.decoder\.embed_positions computes an answer otherwise",
    ),
    "ministral": (SIZES | {"sliding_window": 16}, r"model\.layers\.0\.self_attn uses sliding_w"),
    "gemma2": (
        SIZES | {"layer_types": ["full_attention"] * 2, "query_pre_attn_scalar": 16},
        r"model\.layers\.0\.self_attn uses softcap",
    ),
    "gemma3_text": (SIZES | {"sliding_window": 16}, r"model\.layers\.0\.self_attn uses sliding_w"),
    "gpt_oss": (
        SIZES | EXPERTS | {"layer_types": ["full_attention"] * 2},
        r"model\.layers\.0\.self_attn uses s_aux",
    ),
    "stablelm": (SIZES, r"model\.layers\.0\.self_attn does not hand the segments"),
    "cohere": (SIZES, "the head is more than a product"),
    "nanochat": (SIZES, "the head is more than a product"),
}  # fmt: skip


def make_model(architecture: str, **changes: object) -> PreTrainedModel:
    """A random model in evaluation mode, fp32."""
    sizes = UNSOUND[architecture][0] if architecture in UNSOUND else SOUND[architecture]
    torch.manual_seed(0)
    config = AutoConfig.for_model(architecture, **(sizes | changes))
    return AutoModelForCausalLM.from_config(config).float().eval()
