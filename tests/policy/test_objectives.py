"""Corrections, the KL term and several steps on a batch against plain torch autograd."""

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.policy.minibatches import learn, minibatches
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.network import load_reference
from azr_fast.policy.objective import objective
from azr_fast.policy.packing import TrainSequence, make_packs
from azr_fast.policy.policy import Policy
from azr_fast.policy.stats import UpdateStats, merged

from .batches import batch_of, weights_of
from .test_masks import conversations, packed_gradients

FP32 = ModelConfig(dtype="float32", device="cpu")
TEMPERATURE = 0.8
# Distances to what was sampled, in nats, that are off the bounds, where fp32 and fp64 may differ:
# log 0.8 = -0.22, log 1.2 = 0.18, log 1.5 = 0.41.
SHIFTS = (-1.0, -0.5, -0.1, 0.0, 0.1, 0.3, 0.6)
CLIP = {"correction": "clip"}
UPDATES = {
    "plain": {},
    "clip": CLIP,
    "clip and entropy": CLIP | {"entropy": 0.05},
    "clip of its own": CLIP | {"clip_low": 0.4, "clip_high": 0.5},
    "dual clip": CLIP | {"dual_clip": 1.5},
    "truncate": {"correction": "truncate", "truncate_at": 1.2},
    "k3": {"kl": 0.2},
    "all with clip": CLIP | {"dual_clip": 1.5, "kl": 0.2, "entropy": 0.05},
    "all with truncate": {"correction": "truncate", "kl": 0.2, "entropy": 0.05},
}


@pytest.fixture(scope="module")
def other(tiny, tmp_path_factory):
    """A reference model that is near the tiny one."""
    folder = tmp_path_factory.mktemp("other")
    model = AutoModelForCausalLM.from_pretrained(tiny.folder, dtype=torch.float32)
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return ModelFiles(folder, "other")


def policy_of(files, other, update):
    reference = load_reference(other, FP32, update) if update.kl else None
    return Policy(files, FP32, update, TEMPERATURE, reference)


def sampled(policy, batch, rng, shifts=SHIFTS):
    """The batch with log-probs of sampling time that are off by `shifts`."""
    return [
        replace(one, behaviour_logprobs=tuple(x - rng.choice(shifts) for x in logprobs))
        for one, logprobs in zip(batch, policy.answer_logprobs(batch), strict=True)
    ]


def learn_from(policy, batch, update, seed=0, accept=lambda stats: None):
    return learn(policy, batch, update, random.Random(seed), lambda done, total: None, accept)


def distributions(model, one):
    """Log-probs [N, V] before each sampled token of a conversation, and those tokens [N]."""
    ids_T = torch.tensor(one.prompt_ids + one.response_ids)
    logp_TV = (model(ids_T[None, :-1]).logits[0] / TEMPERATURE).log_softmax(-1)
    mask = one.sampled or [True] * len(one.response_ids)
    mask_T = torch.tensor([False] * (len(one.prompt_ids) - 1) + list(mask))
    return logp_TV[mask_T], ids_T[1:][mask_T]


def plain_loss(model, reference, one, update):
    """The loss of one conversation by its definition."""
    logp_NV, ids_N = distributions(model, one)
    logp_N = logp_NV.gather(1, ids_N[:, None])[:, 0]
    loss_N = -one.advantage * logp_N
    if update.correction != "none":
        ratio_N = (logp_N - torch.tensor(one.behaviour_logprobs).to(logp_N)).exp()
    if update.correction == "truncate":
        loss_N = loss_N * ratio_N.detach().clamp(max=update.truncate_at)
    if update.correction == "clip":
        high = update.clip_high if one.clip_high is None else one.clip_high
        clipped_N = ratio_N.clamp(1 - update.clip_low, 1 + high)
        gain_N = torch.minimum(ratio_N * one.advantage, clipped_N * one.advantage)
        if update.dual_clip and one.advantage < 0:
            gain_N = gain_N.clamp(min=update.dual_clip * one.advantage)
        loss_N = -gain_N
    if update.kl:
        with torch.no_grad():
            away_N = distributions(reference, one)[0].gather(1, ids_N[:, None])[:, 0]
        loss_N = loss_N + update.kl * ((away_N - logp_N).exp() - (away_N - logp_N) - 1)
    entropy_N = -(logp_NV.exp() * logp_NV).sum(1)
    return one.weight * (loss_N - update.entropy * entropy_N).sum()


def models(tiny, other, dtype=torch.float64):
    return [AutoModelForCausalLM.from_pretrained(one.folder, dtype=dtype) for one in (tiny, other)]


@pytest.mark.parametrize("name", UPDATES)
@given(
    batch=st.lists(conversations(), min_size=1, max_size=5),
    highs=st.lists(st.sampled_from([None, 0.5]), min_size=5, max_size=5),
    seed=st.integers(0, 99),
)
@settings(max_examples=8, deadline=None)
def test_gradients_equal_plain_autograd_in_fp64(tiny, other, name, batch, highs, seed):
    update = UpdateConfig(**{"pack_tokens": 32, "entropy": 0.0} | UPDATES[name])
    policy = policy_of(tiny, other, update)
    batch = [replace(one, clip_high=high) for one, high in zip(batch, highs, strict=False)]
    batch = policy.with_reference(sampled(policy, batch, random.Random(seed)))
    model, reference = models(tiny, other)
    for one in batch:
        plain_loss(model, reference, one, update).backward()
    expected = {name: p.grad.float() for name, p in model.named_parameters()}
    for name, gradient in packed_gradients(policy, batch).items():
        torch.testing.assert_close(gradient, expected[name], atol=5e-6, rtol=1e-4)


def test_one_step_without_a_pull_asks_for_nothing_of_sampling_time(make_policy):
    """The default is the plain objective, whatever is known of the batch."""
    batch = batch_of(random.Random(0), logprobs=(-1.0,) * 9)
    (pack,) = make_packs(batch, 999)
    made = objective(pack, batch, UpdateConfig(), torch.device("cpu"))
    assert made.correction == "none"
    assert made.behaviour_logp_N is None
    assert made.reference_logp_N is None
    assert made.kl_weight == 0
    policy = make_policy()
    assert policy.with_reference(batch) is batch
    assert list(minibatches(batch, UpdateConfig(), random.Random(0))) == [batch]


@pytest.mark.parametrize(
    ("update", "said"),
    [({"correction": "clip"}, "of sampling time"), ({"kl": 0.1}, "of the reference model")],
)
def test_what_an_objective_lacks_is_named(tiny, other, update, said):
    policy = policy_of(tiny, other, UpdateConfig(**update))
    with pytest.raises(ValueError, match=f"has no log-probs {said}"):
        policy.update(batch_of(random.Random(0)))


def test_epochs_and_minibatches_are_steps_of_adamw_on_their_parts(tiny, other):
    """Three epochs of two minibatches against torch's AdamW on plain gradients in fp64."""
    update = UpdateConfig(
        lr=1e-2, epochs=3, minibatches=2, correction="clip", kl=0.1, entropy=0.01, warmup_steps=3
    )
    policy = policy_of(tiny, other, update)
    before = weights_of(policy)
    batch = sampled(policy, batch_of(random.Random(4), count=9), random.Random(4))
    model, reference = models(tiny, other)
    adamw = torch.optim.AdamW(model.parameters(), lr=update.lr, weight_decay=update.weight_decay)
    for step, part in enumerate(minibatches(batch, update, random.Random(7))):
        adamw.zero_grad()
        for one in part:
            plain_loss(model, reference, one, update).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), update.grad_clip)
        adamw.param_groups[0]["lr"] = update.lr * min(1.0, (step + 1) / (update.warmup_steps + 1))
        adamw.step()
    stats = learn(
        policy, batch, update, random.Random(7), lambda done, total: None, lambda stats: None
    )
    assert policy.steps == 6
    assert stats.moved
    assert stats.tokens_trained == 3 * sum(one.trained for one in batch)
    for name, parameter in model.named_parameters():
        ours = dict(policy.named_weights())[name].double()
        moved = parameter.detach() - before[name].double()
        assert (ours - parameter.detach()).norm() < 0.01 * moved.norm(), name


def test_parts_of_an_epoch_hold_each_answer_once_and_weigh_as_the_whole():
    batch = batch_of(random.Random(0), count=7)
    update = UpdateConfig(epochs=2, minibatches=3, correction="clip")
    parts = list(minibatches(batch, update, random.Random(1)))
    assert [len(part) for part in parts] == [3, 2, 2] * 2
    for epoch in (parts[:3], parts[3:]):
        told = [replace(one, weight=1 / 40) for part in epoch for one in part]
        assert sorted(told, key=str) == sorted(batch, key=str)
    assert {one.weight for part in parts for one in part} == {3 / 40}
    assert [part[0] for part in parts[:3]] != [part[0] for part in parts[3:]]  # shuffled anew
    assert len(list(minibatches(batch[:2], update, random.Random(1)))) == 4  # of one answer each


def test_the_clip_holds_back_answers_by_their_own_bound(tiny, other):
    """Two answers are rewarded alike; the one with more room grows more, and ends beyond the other's
    bound. Without moved weights nothing is clipped."""
    update = UpdateConfig(lr=3e-3, epochs=8, correction="clip", entropy=0.0)
    policy = policy_of(tiny, other, update)
    batch = [TrainSequence((1, 2, 3), (token,), 1.0, 0.5, None) for token in (5, 9)]
    known = policy.answer_logprobs(batch)
    batch = sampled(policy, batch, random.Random(0), shifts=[0.0])
    batch[1] = replace(batch[1], clip_high=3.0)
    assert policy_of(tiny, other, update).update(batch).clipped == 0
    stats = learn(
        policy, batch, update, random.Random(0), lambda done, total: None, lambda stats: None
    )
    assert 0 < stats.clipped < 1
    after = policy.answer_logprobs(batch)
    tight, loose = (x[0] - y[0] for x, y in zip(after, known, strict=True))
    assert loose > tight
    assert loose > torch.tensor(1.2).log()


def test_a_pull_keeps_the_policy_near_its_reference(tiny):
    """The same lesson with and without it, where the reference is the model itself."""
    batch = batch_of(random.Random(0), logprobs=None)

    def away(kl):
        update = UpdateConfig(lr=3e-3, kl=kl, entropy=0.0)
        policy = policy_of(tiny, tiny, update)
        for _ in range(5):
            stats = policy.update(policy.with_reference(batch))
        reference = load_reference(tiny, FP32, update).answer_logprobs(batch, TEMPERATURE)
        here = policy.answer_logprobs(batch)
        gaps = [
            a - b
            for one, two in zip(here, reference, strict=True)
            for a, b in zip(one, two, strict=True)
        ]
        return torch.tensor(gaps).square().mean(), stats

    far, without = away(0.0)
    near, with_pull = away(10.0)
    assert near < 0.5 * far
    assert without.kl is None
    assert with_pull.kl > 0


def test_an_answer_without_advantage_is_pulled_too(tiny, other):
    policy = policy_of(tiny, other, UpdateConfig(kl=0.1, entropy=0.0))
    batch = policy.with_reference(batch_of(random.Random(0), advantage=0.0))
    assert policy.update(batch).moved


def test_only_the_first_step_is_compared_with_what_was_sampled(tiny, other):
    update = UpdateConfig(epochs=2, minibatches=2, correction="clip", lr=1e-2)
    policy = policy_of(tiny, other, update)
    batch = sampled(policy, batch_of(random.Random(0)), random.Random(0), shifts=[0.0])
    seen = []
    stats = learn_from(policy, batch, update, accept=seen.append)
    assert len(seen) == 1
    assert seen[0].logprob_gap == stats.logprob_gap < 1e-5


def test_what_does_not_accept_leaves_the_policy_as_it_was(tiny, other):
    update = UpdateConfig(epochs=2, correction="clip")
    policy = policy_of(tiny, other, update)
    before = weights_of(policy)
    batch = sampled(policy, batch_of(random.Random(0)), random.Random(0))

    def refuse(stats):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        learn_from(policy, batch, update, accept=refuse)
    assert policy.steps == 0
    assert all(torch.equal(before[name], weight) for name, weight in policy.named_weights())


def test_statistics_of_several_steps_are_sums_and_means():
    one = UpdateStats(
        loss=1.0, entropy=2.0, tokens_trained=10, tokens_computed=20, packs=1, logprob_gap=0.1,
        gap_tokens=10, clipped=0.0, kl=0.0, moved=True, seconds={"head": 1.0},
    )  # fmt: skip
    two = replace(
        one, loss=3.0, entropy=4.0, tokens_trained=30, clipped=0.4, kl=0.2, logprob_gap=9.0,
        moved=False, skipped="why", seconds={"head": 2.0, "pack": 1.0},
    )  # fmt: skip
    assert merged([one]) is one
    whole = merged([one, two])
    assert (whole.loss, whole.entropy, whole.clipped) == (2.0, 3.5, pytest.approx(0.3))
    assert whole.kl == pytest.approx(0.15)
    assert (whole.tokens_trained, whole.tokens_computed, whole.packs) == (40, 40, 2)
    assert (whole.logprob_gap, whole.gap_tokens) == (0.1, 10)
    assert (whole.moved, whole.skipped) == (True, "why")
    assert whole.seconds == {"head": 3.0, "pack": 1.0}
