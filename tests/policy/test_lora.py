"""Adapters: what learns, what stands still, and that the engine gets what was computed with."""

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from azr_fast.config.lora import LoraConfig
from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.errors import UserError
from azr_fast.policy.loading import load_on_device
from azr_fast.policy.lora import (
    FrozenBase,
    adapted_layers,
    add_adapter,
    is_of_adapter,
    merged,
    merged_weights,
)
from azr_fast.policy.network import frozen_network
from azr_fast.policy.policy import Policy

from .batches import batch_of, weights_of
from .test_masks import ENTROPY, conversations
from .tiny_models import SOUND, make_model

LORA = LoraConfig(rank=3, alpha=6.0)
NO_LINEAR_LAYERS = {"gpt2"}  # its layers are Conv1D of transformers


def open_base(files, dtype="float32", config=LORA):
    model = load_on_device(files, ModelConfig(device="cpu", dtype=dtype))
    return FrozenBase(model.requires_grad_(False), files.name, config, seed=0)


def open_policy(files, base, dtype="float32", reference=None, **update):
    model = ModelConfig(device="cpu", dtype=dtype)
    return Policy(files, model, UpdateConfig(**update), 1.0, reference, base)


@pytest.fixture
def make(tiny):
    """A policy with an adapter of its own over a base of its own."""

    def make(dtype="float32", config=LORA, **update):
        return open_policy(tiny, open_base(tiny, dtype, config), dtype, **update)

    return make


def scatter(policy):
    """Give the adapter numbers that matter."""
    torch.manual_seed(1)
    with torch.no_grad():
        for layer in adapted_layers(policy._model).values():
            layer.lora_A.normal_(std=0.2)
            layer.lora_B.normal_(std=0.2)


def adapter_of(policy):
    named = policy._model.named_parameters()
    return {name: p.detach().clone() for name, p in named if is_of_adapter(name)}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def plain_gradients(files, adapter, batch):
    """By torch autograd in fp64, through W + scale · B A, one conversation at a time, without
    packs."""
    model = AutoModelForCausalLM.from_pretrained(files.folder, dtype=torch.float64)
    leaves = {name: tensor.double().requires_grad_() for name, tensor in adapter.items()}
    weights = dict(model.named_parameters())
    for name in {name.rpartition(".")[0] for name in leaves}:
        product = leaves[f"{name}.lora_B"] @ leaves[f"{name}.lora_A"]
        weights[f"{name}.weight"] = weights[f"{name}.weight"].detach() + 6.0 / 3 * product
    for one in batch:
        ids_T = torch.tensor(one.prompt_ids + one.response_ids)
        output = torch.func.functional_call(model, weights, (ids_T[None, :-1],))
        logp_TV = torch.log_softmax(output.logits[0], -1)
        entropy_T = -(logp_TV.exp() * logp_TV).sum(-1)
        gain_T = one.advantage * logp_TV.gather(1, ids_T[1:, None])[:, 0] + ENTROPY * entropy_T
        mask_T = torch.tensor([False] * (len(one.prompt_ids) - 1) + list(one.sampled))
        (-one.weight * gain_T[mask_T].sum()).backward(retain_graph=True)
    return {name: leaf.grad.float() for name, leaf in leaves.items()}


@pytest.mark.parametrize(
    "keys",
    [{}, {"recompute": True}, {"recompute_blocks": ("attention", "feed_forward")}],
    ids=["kept", "recomputed", "blocks recomputed"],
)
def test_gradients_of_packed_conversations_equal_plain_autograd(tiny, keys):
    policy = open_policy(tiny, open_base(tiny), entropy=ENTROPY, pack_tokens=32, **keys)
    scatter(policy)
    before = adapter_of(policy)

    class Seen(Exception):  # noqa: N818 - what happened
        """Raised before any weight moves."""

    @given(st.lists(conversations(), min_size=1, max_size=6))
    @settings(max_examples=8, deadline=None)
    def check(batch):
        expected = plain_gradients(tiny, before, batch)

        def compare(stats):
            learning = dict(policy._model.named_parameters())
            for name, gradient in expected.items():
                ours = policy._optimizer.gradient(learning[name])
                torch.testing.assert_close(ours, gradient, atol=5e-6, rtol=5e-5)
            raise Seen

        with pytest.raises(Seen):
            policy.update(batch, accept=compare)

    check()
    assert same(adapter_of(policy), before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_new_adapter_changes_nothing(tiny, make, make_policy, dtype):
    adapted, whole = make(dtype), make_policy(dtype)
    batch = batch_of(random.Random(0))
    assert adapted.answer_logprobs(batch) == whole.answer_logprobs(batch)
    assert same(weights_of(adapted), weights_of(whole))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_adapter_learns_and_all_else_stands_still(tiny, make, dtype):
    policy = make(dtype, lr=1e-2, entropy=0.0)
    frozen = {n: p for n, p in policy._model.named_parameters() if not is_of_adapter(n)}
    before = {name: weight.clone() for name, weight in frozen.items()}
    first, start = adapter_of(policy), weights_of(policy)
    batch = [replace(one, advantage=1.0) for one in batch_of(random.Random(0))]
    likely = sum(map(sum, policy.answer_logprobs(batch)))
    for _ in range(5):
        assert policy.update(batch).moved
    assert sum(map(sum, policy.answer_logprobs(batch))) > likely + 1
    assert same({name: weight.detach() for name, weight in frozen.items()}, before)
    assert not any(torch.equal(tensor, first[name]) for name, tensor in adapter_of(policy).items())
    moved = {n for n, weight in weights_of(policy).items() if not torch.equal(weight, start[n])}
    assert moved == {f"{path}.weight" for path in adapted_layers(policy._model)}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_of_the_merged_weights_computes_the_same_to_the_bit(tiny, make, dtype):
    policy = make(dtype)
    scatter(policy)
    plain = AutoModelForCausalLM.from_pretrained(tiny.folder, dtype=getattr(torch, dtype))
    plain.load_state_dict(dict(policy.named_weights()))
    network = frozen_network(plain, UpdateConfig())
    batch = batch_of(random.Random(0))
    assert network.answer_logprobs(batch, 1.0) == policy.answer_logprobs(batch)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_weight_is_merged_in_fp32_and_rounded_once_in_chunks_of_rows(dtype):
    torch.manual_seed(0)
    weight, a, b = torch.randn(700, 900).to(dtype), torch.randn(4, 900), torch.randn(700, 4)
    before = weight.clone()
    exact = weight.double() + 0.5 * b.double() @ a.double()
    tolerance = (
        {"rtol": 1e-6, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 2**-8, "atol": 1e-3}
    )
    torch.testing.assert_close(merged(weight, a, b, 0.5).double(), exact, **tolerance)
    assert torch.equal(weight, before)


def test_policies_over_one_base_hold_it_once_and_leave_each_other_alone(tiny):
    base = open_base(tiny)
    one, other = (open_policy(tiny, base, lr=1e-2) for _ in range(2))
    held = [dict(policy._model.named_parameters()) for policy in (one, other)]
    for name, parameter in held[0].items():
        assert (parameter is held[1][name]) == (not is_of_adapter(name))
    untouched, adapter = weights_of(other), adapter_of(other)
    one.update(batch_of(random.Random(0)))
    assert not same(weights_of(one), untouched)
    assert same(weights_of(other), untouched)
    assert same(adapter_of(other), adapter)
    assert other.steps == 0


def test_the_base_is_the_reference_of_its_adapters(tiny):
    base = open_base(tiny)
    reference = frozen_network(base.alone(), UpdateConfig(kl=0.1))
    policy = open_policy(tiny, base, reference=reference, kl=0.1, lr=1e-2)
    batch = batch_of(random.Random(0))
    first = policy.with_reference(batch)
    assert [list(one.reference_logprobs) for one in first] == policy.answer_logprobs(batch)
    policy.update(first)
    assert policy.with_reference(batch) == first
    assert policy.update(first).kl > 0


def test_a_step_that_would_ruin_the_model_is_not_made(make):
    policy = make(lr=10.0)
    before = adapter_of(policy)
    assert "ruin the model" in policy.update(batch_of(random.Random(0))).skipped
    assert same(adapter_of(policy), before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_checkpoint_goes_on_to_the_same_end(tmp_path, make, dtype):
    batch, options = batch_of(random.Random(0)), {"lr": 1e-2, "moments": dtype}
    whole = make(dtype, **options)
    for step in range(6):
        whole.update(batch)
        if step == 2:
            whole.save(tmp_path)
    again = make(dtype, **options)
    again.load(tmp_path)
    assert again.steps == 3
    for _ in range(3):
        again.update(batch)
    assert same(adapter_of(again), adapter_of(whole))
    assert same(weights_of(again), weights_of(whole))
    size = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    learning = sum(tensor.numel() for tensor in adapter_of(whole).values())
    assert size < 16 * learning + 20_000  # itself, its master and two moments in fp32; headers


def test_an_adapter_of_another_base_is_refused(tmp_path, tiny, tiny_untied, make):
    make().save(tmp_path)
    with pytest.raises(UserError, match="learnt over other weights than those of tiny now: put"):
        open_policy(tiny_untied, open_base(tiny_untied)).load(tmp_path)


@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ("down_proj",)])
def test_targets_choose_the_layers(make, targets):
    policy = make(config=LoraConfig(rank=2, targets=targets))
    paths = adapted_layers(policy._model)
    assert {path.rpartition(".")[2] for path in paths} == set(targets)
    assert len(paths) == 2 * len(targets)  # of two layers
    assert policy.update(batch_of(random.Random(0))).moved


def test_layers_that_are_not_there_are_refused_with_those_that_are(make):
    wanted = "tiny has no linear layers called query: choose of q_proj, k_proj, v_proj, o_proj"
    with pytest.raises(UserError, match=wanted):
        make(config=LoraConfig(targets=("q_proj", "query")))


@pytest.mark.parametrize("architecture", sorted(SOUND))
def test_every_architecture_computes_with_its_merged_weights(architecture):
    model, plain = make_model(architecture), make_model(architecture)
    if architecture in NO_LINEAR_LAYERS:
        with pytest.raises(UserError, match="no linear layers that an adapter can be laid over"):
            add_adapter(model, LORA, torch.Generator(), architecture)
        return
    add_adapter(model, LORA, torch.Generator().manual_seed(0), architecture)
    with torch.no_grad():
        for layer in adapted_layers(model).values():
            layer.lora_B.normal_(std=0.1)
    ids_1T = torch.arange(20)[None]
    before = plain(ids_1T).logits
    plain.load_state_dict(dict(merged_weights(model)), strict=False)
    assert torch.equal(model(ids_1T).logits, plain(ids_1T).logits)
    assert not torch.equal(before, plain(ids_1T).logits)
    model(ids_1T).logits.sum().backward()
    learning = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learning == {name for name, _ in model.named_parameters() if is_of_adapter(name)}
