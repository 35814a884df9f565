"""Updates move the model the right way, the same way every time, and survive a save."""

import random
import shutil
from collections import Counter
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from azr_fast.errors import UserError
from azr_fast.policy.models import resolve_model
from azr_fast.policy.packing import TrainSequence, make_packs

from .batches import batch_of, weights_of

GOOD, BAD = (5, 6, 7), (8, 9, 10)
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


def answer_logprob(policy, prompt, answer):
    (logprobs,) = policy.logprobs([prompt + answer])
    return sum(logprobs[len(prompt) - 1 :])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rewarded_answers_become_likelier_and_punished_ones_rarer(make_policy, dtype):
    policy = make_policy(dtype, lr=3e-3, entropy=0.0)
    prompt = (1, 2, 3)
    batch = [
        TrainSequence(prompt, GOOD, 1.0, 1 / 6, None),
        TrainSequence(prompt, BAD, -1.0, 1 / 6, None),
    ]
    before = [answer_logprob(policy, prompt, answer) for answer in (GOOD, BAD)]
    for _ in range(5):
        policy.update(batch)
    after = [answer_logprob(policy, prompt, answer) for answer in (GOOD, BAD)]
    assert after[0] > before[0] + 1
    assert after[1] < before[1] - 1


def test_the_entropy_bonus_raises_entropy(make_policy):
    policy = make_policy(lr=3e-3, entropy=1.0)
    batch = batch_of(random.Random(0), advantage=0.0)
    entropies = [policy.update(batch).entropy for _ in range(6)]
    assert entropies[-1] > entropies[0]


def test_11_no_old_logprob_pass(make_policy):
    """One update runs the model once over each token, prompts shared: no second pass for old log-probs."""
    policy = make_policy(pack_tokens=30)
    batch = batch_of(random.Random(0), logprobs=None)
    seen, calls = Counter(), 0

    def count(module, args, kwargs, output):
        nonlocal calls
        calls += 1
        seen.update(kwargs["input_ids"].flatten().tolist())

    policy._network.backbone.register_forward_hook(count, with_kwargs=True)
    packs = make_packs(batch, 30)

    def before_the_step(stats):
        assert calls == len(packs) == stats.packs > 1
        assert seen == Counter(t for pack in packs for t in pack.tokens_T.tolist())
        assert stats.tokens_computed == seen.total() < stats.tokens_unshared

    policy.update(batch, accept=before_the_step)
    assert calls > len(packs), "the step was not previewed, or before_the_step not called"


def test_answers_that_cannot_steer_are_not_computed(make_policy):
    policy = make_policy(entropy=0.0)
    batch = batch_of(random.Random(0), count=4, advantage=0.0)
    before = weights_of(policy)
    stats = policy.update(batch)
    assert (stats.packs, stats.tokens_computed, stats.tokens_trained) == (0, 0, 0)
    assert stats.share_with_gradient == 0.0
    assert all(torch.equal(before[name], weight) for name, weight in policy.named_weights())


def test_an_empty_batch_is_no_update(make_policy):
    policy = make_policy()
    before = weights_of(policy)
    assert policy.update([]).packs == 0
    assert all(torch.equal(before[name], weight) for name, weight in policy.named_weights())


def test_stats_count_tokens_and_progress_reaches_the_end(make_policy):
    policy = make_policy(pack_tokens=30, warmup_steps=3, lr=0.1)
    batch = [*batch_of(random.Random(0)), *batch_of(random.Random(1), advantage=0.0)]
    progress = []
    stats = policy.update(batch, on_progress=lambda done, total: progress.append((done, total)))
    tokens = sum(len(s.response_ids) for s in batch)
    assert stats.tokens_trained == tokens
    assert stats.share_with_gradient == pytest.approx(
        sum(len(s.response_ids) for s in batch if s.advantage) / tokens
    )
    assert progress[-1] == (stats.tokens_computed, stats.tokens_computed)
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert stats.learning_rate == pytest.approx(0.025)
    assert set(stats.seconds) == {"pack", "forward", "head", "backward", "optimizer"}


def test_the_gap_to_the_sampled_logprobs_is_measured(make_policy):
    policy = make_policy(temperature=1.0)
    plain = batch_of(random.Random(2))
    batch = []
    for s in plain:
        (logprobs,) = policy.logprobs([s.prompt_ids + s.response_ids])
        sampled = tuple(logp - 0.25 for logp in logprobs[len(s.prompt_ids) - 1 :])
        batch.append(TrainSequence(s.prompt_ids, s.response_ids, s.advantage, s.weight, sampled))
    assert make_policy().update(plain).logprob_gap is None
    assert policy.update(batch).logprob_gap == pytest.approx(0.25, abs=1e-4)


def training_run(policy):
    """The losses of twelve updates towards answers of many even tokens, and the weights after."""
    batch = batch_of(random.Random(5))
    for i, s in enumerate(batch):
        even = sum(token % 2 == 0 for token in s.response_ids) / len(s.response_ids)
        batch[i] = replace(s, advantage=2 * even - 1)
    losses = torch.tensor([policy.update(batch).loss for _ in range(12)])
    return losses, torch.cat([w.flatten().float() for w in weights_of(policy).values()])


# Of bf16 the products round differently: torch's round logits, ours do not.
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
@pytest.mark.parametrize(
    ("device", "implementation"), [("cpu", "torch"), pytest.param("cuda", "triton", marks=gpu)]
)
def test_implementations_and_devices_train_alike(
    make_policy, dtype, tolerance, device, implementation
):
    """The same loss curve and the same weights at its end, on a run that learns."""

    def run(device, implementation):
        options = {"lr": 3e-3, "entropy": 0.01, "loss": implementation, "device": device}
        losses, weights = training_run(make_policy(dtype, **options))
        return losses, weights.cpu()

    (losses, weights), (others, other_weights) = run("cpu", "cpu"), run(device, implementation)
    assert losses[-1] < losses[0] - 0.5
    torch.testing.assert_close(losses, others, rtol=tolerance, atol=tolerance)
    start = torch.cat([w.flatten().float() for w in weights_of(make_policy(dtype)).values()])
    assert (weights - other_weights).norm() < 5 * tolerance * (weights - start).norm()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("recompute", [False, True])
def test_two_runs_are_bitwise_equal(make_policy, dtype, recompute):
    ends = []
    for _ in range(2):
        policy = make_policy(dtype, lr=1e-3, pack_tokens=40, recompute=recompute)
        rng = random.Random(5)
        for _ in range(2):
            policy.update(batch_of(rng))
        ends.append(weights_of(policy))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_recomputing_activations_changes_nothing(make_policy):
    ends = []
    for recompute in (False, True):
        policy = make_policy(lr=1e-3, recompute=recompute)
        policy.update(batch_of(random.Random(5)))
        ends.append(weights_of(policy))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_masters_learn_where_bf16_alone_would_stand_still(make_policy):
    """Steps of a hundredth of a bf16 ulp add up in the masters until the weights follow."""
    policy = make_policy("bfloat16", lr=2e-5, weight_decay=0.0)
    batch = batch_of(random.Random(0))
    before = weights_of(policy)
    policy.update(batch)
    name = "model.norm.weight"  # all ones: the next bf16 numbers are 0.0039 and 0.0078 away
    assert torch.equal(before[name], dict(policy.named_weights())[name])
    for _ in range(149):
        policy.update(batch)
    assert not torch.equal(before[name], dict(policy.named_weights())[name])


def test_the_gradient_is_clipped(make_policy):
    """AdamW ignores the gradient's scale, but its moments show it."""
    policy = make_policy(grad_clip=1e-3)
    stats = policy.update(batch_of(random.Random(0)))
    assert stats.grad_norm > 1e-2
    state = policy._optimizer.state()
    moments = [t for name, t in state.items() if name.startswith("exp_avg.")]
    norm = torch.stack([moment.norm() for moment in moments]).norm().item()
    assert norm == pytest.approx(0.1 * 1e-3, rel=1e-3)  # (1 - beta1) * clipped gradient


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_advantages_that_are_not_finite_are_refused(make_policy, value):
    policy = make_policy()
    before = weights_of(policy)
    with pytest.raises(ValueError, match="nan or inf: check the advantages"):
        policy.update(batch_of(random.Random(0), advantage=value))
    assert all(torch.equal(before[name], weight) for name, weight in policy.named_weights())


def test_tied_weights_are_given_under_both_names(make_policy, tiny_untied):
    weights = dict(make_policy().named_weights())
    assert torch.equal(weights["lm_head.weight"], weights["model.embed_tokens.weight"])
    weights = dict(make_policy(files=tiny_untied).named_weights())
    assert not torch.equal(weights["lm_head.weight"], weights["model.embed_tokens.weight"])


def test_an_untied_head_learns_too(make_policy, tiny_untied):
    policy = make_policy(files=tiny_untied, lr=1e-3)
    before = weights_of(policy)
    policy.update(batch_of(random.Random(0)))
    after = dict(policy.named_weights())
    assert all(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_going_on_from_a_save_is_bitwise_the_same(make_policy, tmp_path, dtype):
    policy = make_policy(dtype, lr=1e-3, warmup_steps=3)
    rng = random.Random(1)
    batches = [batch_of(rng) for _ in range(4)]
    for batch in batches[:2]:
        policy.update(batch)
    policy.save(tmp_path)
    drawn = torch.rand(3)
    for batch in batches[2:]:
        policy.update(batch)

    resumed = make_policy(dtype, lr=1e-3, warmup_steps=3)
    resumed.load(tmp_path)
    assert torch.equal(torch.rand(3), drawn)
    for batch in batches[2:]:
        resumed.update(batch)
    theirs = dict(resumed.named_weights())
    assert all(torch.equal(weight, theirs[name]) for name, weight in policy.named_weights())


def test_a_save_is_a_hugging_face_folder(make_policy, tmp_path):
    policy = make_policy("bfloat16", lr=1e-2)
    policy.update(batch_of(random.Random(0)))
    policy.save(tmp_path)
    assert (tmp_path / "model/tokenizer.json").exists()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="auto")
    assert model.dtype == torch.bfloat16
    ours = dict(policy.named_weights())
    assert all(torch.equal(weight, ours[name]) for name, weight in model.named_parameters())


def test_a_saved_model_folder_holds_one_set_of_weights(make_policy, tiny_sharded, tmp_path):
    """vLLM reads every .safetensors file there; transformers follows an index where there is one."""
    policy = make_policy(files=tiny_sharded)
    policy.save(tmp_path)
    assert [path.name for path in (tmp_path / "model").glob("*.safetensors*")] == [
        "model.safetensors"
    ]
    assert resolve_model(str(tmp_path / "model")).folder == tmp_path / "model"
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    ours = dict(policy.named_weights())
    assert all(torch.equal(weight, ours[name]) for name, weight in model.named_parameters())


def test_a_save_needs_the_folder_it_came_from_no_more(make_policy, tiny, tmp_path):
    """That may be a checkpoint, and pruned by then."""
    folder = shutil.copytree(tiny.folder, tmp_path / "first")
    policy = make_policy(files=replace(tiny, folder=folder))
    shutil.rmtree(folder)
    policy.save(tmp_path)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {path.name for path in tiny.folder.iterdir()}


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_broken_optimizer_state_is_one_line(make_policy, tmp_path, damage):
    policy = make_policy()
    policy.save(tmp_path)
    path = tmp_path / "optimizer.safetensors"
    path.unlink() if damage == "missing" else path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="resume from an older checkpoint"):
        policy.load(tmp_path)


def test_logprobs_of_one_token_are_empty(make_policy):
    policy = make_policy()
    empty, one = policy.logprobs([(3,), (3, 4)])
    assert empty == []
    assert len(one) == 1
    assert one[0] < 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_one_line(tiny):
    from azr_fast.config.schema import ModelConfig, UpdateConfig
    from azr_fast.policy.policy import Policy

    with pytest.raises(UserError, match=r"model\.device is cuda.*set it to cpu"):
        Policy(tiny, ModelConfig(device="cuda"), UpdateConfig(), 1.0)
