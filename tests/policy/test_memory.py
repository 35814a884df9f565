"""What an update holds, what of it is predicted, and what is refused before it is tried."""

import ctypes
import gc
import random

import pytest
import torch
from transformers import LlamaConfig, Qwen3ForCausalLM

from azr_fast import cgroups
from azr_fast.config.roles import RolesConfig, ScheduleConfig
from azr_fast.config.schema import Config, ModelConfig, UpdateConfig
from azr_fast.errors import UserError
from azr_fast.policy import memory, policy
from azr_fast.policy.footprint import GIB, footprint, kept_by_a_layer, read_shape
from azr_fast.policy.packing import TrainSequence, make_packs
from azr_fast.policy.policy import Policy

LAYERS = 4  # of the model `wide`


class Mallinfo(ctypes.Structure):
    """mallinfo2(3)."""

    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in _names.split()]


def allocated():
    """Bytes that malloc has handed out, exactly."""
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Mallinfo
    info = libc.mallinfo2()
    return info.uordblks + info.hblkhd


def open_policy(files, dtype, base=None, **update):
    model = ModelConfig(device="cpu", dtype=dtype)
    return Policy(files, model, UpdateConfig(**update), 1.0, base=base)


def batch(seed=0):
    rng = random.Random(seed)

    def ids(count):
        return tuple(rng.randrange(500) for _ in range(count))

    prompts = ids(100), ids(60)
    return [
        TrainSequence(prompts[i % 2], ids(40), rng.uniform(-1, 1), 1 / 400, None) for i in range(10)
    ]


def kept(files, dtype, base=None, **update):
    """Bytes that one forward pass leaves, for each token and layer."""
    opened = open_policy(files, dtype, base, **update)
    pack = make_packs(batch(), 4096)[0]
    opened._network.hidden(pack)  # what the first pass of a process makes stays out
    before = allocated()
    hidden_TH = opened._network.hidden(pack)
    left = allocated() - before
    del hidden_TH
    return left / pack.tokens_T.numel() / LAYERS


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_what_a_layer_keeps_is_what_is_predicted(wide, dtype):
    shape = read_shape(str(wide.folder))
    head_norms = 2 * 128 + 2 * 64  # Qwen3's: their inputs
    element = torch.finfo(getattr(torch, dtype)).bits // 8
    predicted = kept_by_a_layer(shape, element) + head_norms * element
    assert kept(wide, dtype) == pytest.approx(predicted, rel=0.10)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_keeping_less_changes_no_gradient(wide, dtype, monkeypatch):
    """The same losses, norms and weights to the bit as a model that keeps everything."""
    ends = []
    for keep in (policy.keep_less, lambda model, whole: None):
        monkeypatch.setattr(policy, "keep_less", keep)
        opened = open_policy(wide, dtype, lr=1e-3, pack_tokens=200)
        stats = [opened.update(batch(seed)) for seed in range(3)]
        figures = [(s.loss, s.grad_norm, s.entropy) for s in stats]
        ends.append((figures, {name: w.clone() for name, w in opened.named_weights()}))
    (one, weights), (other, others) = ends
    assert one == other
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.parametrize(
    "blocks", [("attention",), ("feed_forward",), ("attention", "feed_forward")], ids=" and ".join
)
def test_blocks_that_are_computed_again_keep_what_is_predicted(wide, blocks):
    shape = read_shape(str(wide.folder))
    head_norms = 0 if "attention" in blocks else 2 * 128 + 2 * 64
    predicted = kept_by_a_layer(shape, 4, blocks) + 4 * head_norms
    outside = 450  # bytes, a quarter of the last norm's tensors and of the positions
    left = kept(wide, "float32", recompute_blocks=blocks)
    assert left == pytest.approx(predicted, rel=0.15, abs=outside)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_blocks_that_are_computed_again_change_no_gradient(wide, dtype):
    ends = []
    for blocks in ((), ("attention", "feed_forward")):
        opened = open_policy(wide, dtype, lr=1e-3, pack_tokens=200, recompute_blocks=blocks)
        stats = [opened.update(batch(seed)) for seed in range(2)]
        figures = [(s.loss, s.grad_norm, s.entropy) for s in stats]
        ends.append((figures, {name: w.clone() for name, w in opened.named_weights()}))
    (one, weights), (other, others) = ends
    assert one == other
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_weights_in_fp32_are_held_once(wide):
    """They are their own masters: between updates there is nothing beside them but the moments."""
    before = allocated()
    opened = open_policy(wide, "float32")
    bytes_of_weights = 4 * sum(weight.numel() for weight in opened._model.parameters())
    assert allocated() - before < 1.2 * bytes_of_weights
    opened.update(batch())
    assert allocated() - before < 3.2 * bytes_of_weights


def test_moments_in_bf16_take_half(wide):
    open_policy(wide, "bfloat16").update(batch())  # the processor's library keeps room from now on
    held = []
    for moments in ("float32", "bfloat16"):
        opened = open_policy(wide, "bfloat16", moments=moments)
        before = allocated()
        opened.update(batch())
        held.append(allocated() - before)
    weights = sum(weight.numel() for weight in opened._model.parameters())
    assert held[0] - held[1] == pytest.approx(4 * weights, rel=0.1)


def test_an_update_leaves_nothing_behind(wide):
    """After the first, which makes AdamW's moments, memory is flat; gradients are gone."""
    opened = open_policy(wide, "bfloat16", pack_tokens=300)
    held = []
    for seed in range(6):
        opened.update(batch(seed))
        held.append(allocated())
    parameters = sum(weight.numel() for weight in opened._model.parameters())
    assert max(held[1:]) - min(held[1:]) < 0.1 * 4 * parameters
    opened._optimizer.gradient(opened._head)
    assert allocated() - held[-1] >= 4 * opened._head.numel()


def test_the_parts_of_a_known_model(tmp_path, wide):
    config = Config(model=ModelConfig(name=str(wide.folder), dtype="bfloat16"))
    shape = read_shape(str(wide.folder))
    parameters = sum(w.numel() for w in Qwen3ForCausalLM.from_pretrained(wide.folder).parameters())
    assert shape.parameters == parameters
    held = footprint(config, shape, "cpu")
    assert held.weights * GIB == 2 * parameters
    assert held.masters == held.gradients == held.moments / 2 == 2 * held.weights
    half = footprint(
        config.model_copy(update={"update": UpdateConfig(moments="bfloat16")}), shape, "cpu"
    )
    assert half.moments == held.moments / 2
    wider = Config(model=ModelConfig(name=str(wide.folder), dtype="float32"))
    assert footprint(wider, shape, "cpu").masters == 0


def test_two_policies_and_a_reference_are_counted(wide):
    """Both models, their masters and moments; gradients of both where both learn in one step."""
    shape, common = read_shape(str(wide.folder)), {"model": ModelConfig(dtype="bfloat16")}
    apart = RolesConfig(proposer="separate", solver="separate")
    one = footprint(Config(**common), shape, "cpu")
    two = footprint(Config(**common, roles=apart), shape, "cpu")
    in_turns = ScheduleConfig(name="alternate")
    turns = footprint(Config(**common, roles=apart, schedule=in_turns), shape, "cpu")
    for name in ("weights", "masters", "moments"):
        assert getattr(two, name) == getattr(turns, name) == 2 * getattr(one, name)
    assert two.gradients == 2 * turns.gradients == 2 * one.gradients
    assert (two.engine, two.activations) == (one.engine, one.activations)
    pulled = footprint(Config(**common, update=UpdateConfig(kl=0.1)), shape, "cpu")
    assert (one.reference, pulled.reference) == (0.0, one.weights)
    assert pulled.total() == pytest.approx(one.total() + one.weights)


def test_more_of_what_costs_memory_is_predicted_to_cost_more(wide):
    shape = read_shape(str(wide.folder))

    def activations(**update):
        return footprint(Config(update=UpdateConfig(**update)), shape, "cpu").activations

    small, large = activations(pack_tokens=20000), activations(pack_tokens=40000)
    assert large == pytest.approx(2 * small)
    assert activations(pack_tokens=20000, recompute=True) < small


def test_a_model_whose_sizes_cannot_be_told_has_no_shape(tmp_path):
    assert read_shape("nobody/nothing") is None
    assert read_shape(str(tmp_path)) is None
    for text in ("{", "{}", "[]", '{"hidden_size": 3}'):
        (tmp_path / "config.json").write_text(text)
        assert read_shape(str(tmp_path)) is None
    LlamaConfig().save_pretrained(tmp_path)
    for damaged in (b"cut", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", b""):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        assert read_shape(str(tmp_path)) is None


def test_a_start_that_does_not_fit_is_refused_with_the_keys_to_lower(wide, monkeypatch):
    config = Config(model=ModelConfig(name=str(wide.folder), dtype="bfloat16"))
    needed = footprint(config, read_shape(str(wide.folder)), "cpu").total()
    monkeypatch.setattr(memory, "free_gib", lambda: needed + 0.01)
    memory.check_memory(config, "cpu")
    monkeypatch.setattr(memory, "free_gib", lambda: needed - 0.01)
    with pytest.raises(UserError, match=r"update\.pack_tokens.*rollout\.cache_gib.*recompute"):
        memory.check_memory(config, "cpu")


@pytest.mark.parametrize(
    ("membership", "folder", "names"),
    [
        ("0::/jobs/one\n", "jobs/one", ("memory.max", "memory.current", "inactive_file")),
        ("0::/of/the/host\n", ".", ("memory.max", "memory.current", "inactive_file")),
        (
            "9:cpu:/\n4:memory:/jobs/one\n",
            "memory/jobs",  # a group around the process's own
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_free_memory_is_that_of_the_container(monkeypatch, tmp_path, membership, folder, names):
    """What it read from files is no memory in use: the kernel drops it."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "MEMBERSHIP", tmp_path / "self")
    (tmp_path / "self").write_text(membership)
    machine = memory.free_gib()
    limit, current, dropped = names
    group = tmp_path / folder
    group.mkdir(parents=True, exist_ok=True)
    (group / current).write_text(f"{3 << 28}\n")
    (group / "memory.stat").write_text(f"anon 5\n{dropped} {2 << 28}\n")
    for text, free in (("max\n", machine), (f"{1 << 62}\n", machine), (f"{3 << 28}\n", 0.5)):
        (group / limit).write_text(text)
        assert memory.free_gib() == pytest.approx(free, rel=0.1)


def test_memory_in_use_follows_what_is_taken():
    before = memory.memory_use()
    taken = torch.ones(2**26)  # 0.25 GiB
    after = memory.memory_use()
    assert after["now_gib"] - before["now_gib"] == pytest.approx(0.25, abs=0.03)
    assert after["peak_gib"] >= after["now_gib"]
    assert taken[0] == 1
