"""Conversations of several turns: what the model did not sample is seen and not learnt."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.policy.packing import TrainSequence, make_packs
from azr_fast.policy.policy import Policy

ENTROPY = 0.05
PROMPTS = [tuple(range(1, 9)), tuple(range(1, 6)), tuple(range(20, 25))]


@st.composite
def conversations(draw):
    """Turns of the model with what it was shown between them, after one of a few prompts."""
    ids, sampled = [], []
    for turn in range(draw(st.integers(1, 3))):
        shown = draw(st.lists(st.integers(0, 60), max_size=4)) if turn else []
        said = draw(st.lists(st.integers(0, 60), min_size=1, max_size=5))
        ids += shown + said
        sampled += [False] * len(shown) + [True] * len(said)
    trailing = draw(st.lists(st.integers(0, 60), max_size=2))  # shown, and never answered
    return TrainSequence(
        draw(st.sampled_from(PROMPTS)),
        tuple(ids + trailing),
        draw(st.sampled_from([-1.0, 0.0, 0.7])),
        draw(st.sampled_from([0.02, 0.1])),
        None,
        tuple(sampled + [False] * len(trailing)),
    )


def plain_gradients(files, batch):
    """By torch autograd, one conversation at a time, without packs."""
    model = AutoModelForCausalLM.from_pretrained(files.folder, dtype=torch.float32)
    for one in batch:
        ids_T = torch.tensor(one.prompt_ids + one.response_ids)
        logp_TV = torch.log_softmax(model(ids_T[None, :-1]).logits[0], -1)
        entropy_T = -(logp_TV.exp() * logp_TV).sum(-1)
        gain_T = one.advantage * logp_TV.gather(1, ids_T[1:, None])[:, 0] + ENTROPY * entropy_T
        mask_T = torch.tensor([False] * (len(one.prompt_ids) - 1) + list(one.sampled))
        (-one.weight * gain_T[mask_T].sum()).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def packed_gradients(policy, batch):
    """What enters the optimizer."""
    seen = {}

    def keep(stats):
        seen.update(
            (name, policy._optimizer.gradient(parameter).clone())
            for name, parameter in policy._model.named_parameters()
        )

    policy.update(batch, accept=keep)
    return seen


@given(
    batch=st.lists(conversations(), min_size=1, max_size=6), pack_tokens=st.sampled_from([16, 64])
)
@settings(max_examples=25, deadline=None)
def test_gradients_of_packed_conversations_equal_plain_autograd(tiny, batch, pack_tokens):
    update = UpdateConfig(pack_tokens=pack_tokens, entropy=ENTROPY)
    policy = Policy(tiny, ModelConfig(dtype="float32", device="cpu"), update, temperature=1.0)
    expected = plain_gradients(tiny, batch)
    for name, gradient in packed_gradients(policy, batch).items():
        torch.testing.assert_close(gradient, expected[name], atol=2e-6, rtol=2e-5)


def test_what_is_not_sampled_has_no_gradient_of_its_own(make_policy):
    """Other tokens in the place of the last that were shown, and never answered, change nothing."""
    one = TrainSequence((1, 2, 3), (4, 5, 6, 7), 1.0, 0.1, None, (True, True, False, False))
    other = replace(one, response_ids=(4, 5, 8, 9))
    first, second = (packed_gradients(make_policy(dtype="float32"), [x]) for x in (one, other))
    assert all(torch.equal(first[name], second[name]) for name in first)


@given(st.lists(conversations(), max_size=8), st.integers(8, 40))
def test_packs_learn_each_sampled_token_once_from_the_token_before_it(batch, pack_tokens):
    learnt = {}
    for pack in make_packs(batch, pack_tokens):
        for predictor, target, owner in zip(
            pack.predictors_N.tolist(), pack.targets_N.tolist(), pack.owners_N.tolist(), strict=True
        ):
            position = int(pack.positions_T[predictor])
            whole = batch[owner].prompt_ids + batch[owner].response_ids
            assert whole[position] == pack.tokens_T[predictor]
            assert whole[position + 1] == target
            learnt.setdefault(owner, []).append(position + 1 - len(batch[owner].prompt_ids))
    expected = {
        i: [at for at, sampled in enumerate(one.sampled) if sampled] for i, one in enumerate(batch)
    }
    assert learnt == expected


def test_the_gap_is_measured_on_sampled_tokens_alone(make_policy):
    policy = make_policy(dtype="float32")
    one = TrainSequence((1, 2, 3), (4, 5, 6, 7), 1.0, 0.1, None, (True, False, False, True))
    (logprobs,) = policy.answer_logprobs([one])
    assert len(logprobs) == one.trained == 2
    stats = policy.update([replace(one, behaviour_logprobs=tuple(logprobs))])
    assert stats.logprob_gap == pytest.approx(0.0, abs=1e-5)
    assert (stats.gap_tokens, stats.tokens_trained) == (2, 2)
