"""Models that packs are right for pass, with log-probs to show for it; the others are named."""

from __future__ import annotations

import random
import re

import pytest
import torch
from tiny_models import SOUND, UNSOUND, make_model
from transformers import AutoModelForCausalLM, masking_utils

from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.errors import UserError
from azr_fast.policy import proof
from azr_fast.policy.loading import use_recompute
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.packing import TrainSequence
from azr_fast.policy.policy import Policy

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


def refusal(model) -> str:
    with pytest.raises(UserError) as refused:
        proof.prove(model, "tiny")
    said = str(refused.value)
    assert said.startswith("tiny cannot be trained: ")
    assert "\n" not in said
    return said


@DTYPES
@pytest.mark.parametrize("architecture", UNSOUND)
def test_a_model_that_packs_are_wrong_for_is_refused_by_module(architecture, dtype):
    said = refusal(make_model(architecture).to(dtype))
    assert re.search(UNSOUND[architecture][1], said), said
    assert "choose a model whose layers" in said


@DTYPES
@pytest.mark.parametrize("architecture", SOUND)
def test_a_sound_model_passes(architecture, dtype):
    model = make_model(architecture).to(dtype)
    proof.prove(model, "tiny")
    assert not model.training
    assert model.config._attn_implementation == "segments"
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("architecture", SOUND)
def test_a_model_that_passes_has_the_logprobs_of_each_sequence_alone(architecture, tmp_path):
    """In packs of answers that share prompts, and by transformers' own attention without a pack."""
    make_model(architecture).save_pretrained(tmp_path)
    model = ModelConfig(dtype="float32", device="cpu")
    policy = Policy(ModelFiles(tmp_path, "tiny"), model, UpdateConfig(), 1.0)
    reference = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    rng = random.Random(0)
    prompts = [tuple(range(20, 29)) + tuple(rng.sample(range(97), 4)) for _ in range(3)]
    batch, alone = [], []
    for prompt in prompts * 2:
        answer = tuple(rng.randrange(97) for _ in range(rng.randint(1, 40)))
        ids_T = torch.tensor(prompt + answer)
        with torch.no_grad():
            logp_TV = reference(ids_T[None]).logits[0, :-1].log_softmax(-1)
        alone.append(logp_TV.gather(1, ids_T[1:, None])[:, 0])
        sampled = tuple(alone[-1][len(prompt) - 1 :].tolist())
        batch.append(TrainSequence(prompt, answer, 1.0, 0.1, sampled))
    ours = policy.logprobs([s.prompt_ids + s.response_ids for s in batch])
    for logprobs, theirs in zip(ours, alone, strict=True):
        torch.testing.assert_close(torch.tensor(logprobs), theirs, rtol=0, atol=1e-4)
    assert policy.update(batch).logprob_gap < 2e-5


def mix(module, share):
    """Let a share of each token's output come from the token before it in the row."""

    def leak(_module, _inputs, output):
        return (1 - share) * output + share * output.roll(1, dims=1)

    module.register_forward_hook(leak)


@DTYPES
@pytest.mark.parametrize("share", [0.5, 0.02])
def test_a_small_leak_in_a_deep_layer_is_found_there(dtype, share):
    model = make_model("llama", num_hidden_layers=6).to(dtype)
    mix(model.model.layers[4].mlp, share)
    assert re.search(r"model\.layers\.4\.mlp mixes", refusal(model))


@DTYPES
def test_positions_that_run_along_the_pack_are_found(dtype):
    model = make_model("qwen2").to(dtype)
    rotary = model.model.rotary_emb
    along = rotary.forward

    def count(hidden_1TH, position_ids):
        return along(hidden_1TH, torch.arange(position_ids.shape[1])[None])

    rotary.forward = count
    assert "model.rotary_emb computes an answer otherwise in a pack" in refusal(model)


@DTYPES
def test_a_layer_that_sees_ahead_is_found(dtype):
    model = make_model("llama").to(dtype)
    model.model.layers[1].mlp.register_forward_hook(lambda m, i, out: out + out.flip(1) / 8)
    assert re.search(r"model\.layers\.1\.mlp (mixes|lets a token)", refusal(model))


@DTYPES
def test_another_scale_of_attention_than_its_own_is_found(dtype):
    model = make_model("llama").to(dtype)
    eager = model.model.layers[0].self_attn
    plain = eager.forward

    def forward(*args, **kwargs):
        eager.scaling = 0.9 if model.config._attn_implementation == "eager" else 0.2
        return plain(*args, **kwargs)

    eager.forward = forward
    assert re.search(r"layers\.0\.self_attn computes otherwise than by the model's", refusal(model))


@pytest.mark.parametrize(
    ("mask", "is_causal"),
    [
        (masking_utils.causal_mask_function, True),
        (masking_utils.bidirectional_mask_function, False),
        (masking_utils.sliding_window_causal_mask_function(64), False),
        (masking_utils.chunked_causal_mask_function(64, torch.zeros(1, dtype=int)), False),
        (masking_utils.sliding_window_causal_mask_function(512), True),  # as long as the context
    ],
)
def test_only_masks_that_are_causal_over_the_whole_context_are_left_out(mask, is_causal):
    asked = proof._mask_unless_causal(make_model("llama").config, mask)
    assert (asked is None) == is_causal


def test_numbers_that_overflow_are_said():
    model = make_model("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.mul_(1e38)
        model.model.layers[1].mlp.up_proj.weight.mul_(1e38)
    assert re.search(r"layers\.1\.mlp\S* gives numbers that are not finite", refusal(model))


def test_a_forward_that_fails_names_the_module():
    model = make_model("llama")
    model.model.layers[1].mlp.register_forward_hook(lambda m, i, out: out[:, :, :7])
    assert "model.layers.1 fails in a pack (RuntimeError: " in refusal(model)


def test_a_model_without_a_backbone_is_refused():
    model = make_model("llama")
    model.base_model_prefix = "transformer"
    assert "not a backbone with a head" in refusal(model)


DROPOUTS = {
    "llama": ["attention_dropout"],
    "gpt2": ["attn_pdrop", "resid_pdrop", "embd_pdrop"],
    "gpt_neox": ["hidden_dropout", "attention_dropout"],
    "opt": ["dropout", "attention_dropout", "layerdrop"],
    "phi": ["resid_pdrop", "embd_pdrop", "attention_dropout"],
}


@DTYPES
@pytest.mark.parametrize("architecture", DROPOUTS)
def test_recomputation_computes_without_dropout(architecture, dtype):
    changes = dict.fromkeys(DROPOUTS[architecture], 0.3)
    model = make_model(architecture, **changes).to(dtype)
    use_recompute(model)
    proof.prove(model, "tiny")
    assert model.training
    assert all(getattr(model.config, key) == 0.3 for key in changes)  # is saved as it came


@pytest.mark.parametrize("architecture", DROPOUTS)
def test_dropout_that_is_left_on_is_refused(architecture):
    model = make_model(architecture, **dict.fromkeys(DROPOUTS[architecture], 0.3))
    model.train()
    said = refusal(model)
    assert "dropout" in said
    assert "set --update.recompute false" in said


def test_noise_in_training_mode_is_refused():
    model = make_model("mixtral", router_jitter_noise=0.1)
    use_recompute(model)
    said = refusal(model)
    assert "computes otherwise in training mode (dropout or noise)" in said


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_policy_proves_what_it_loads(tmp_path, dtype):
    make_model("lfm2").save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"leaky cannot be trained: model\.layers\.1\.conv mixes"):
        Policy(
            ModelFiles(tmp_path, "leaky"),
            ModelConfig(dtype=dtype, device="cpu"),
            UpdateConfig(),
            1.0,
        )
