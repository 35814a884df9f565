"""Updates that would do harm are not made, and what breaks off leaves the weights as they were."""

import random
from dataclasses import replace

import pytest
import torch

from azr_fast.errors import NotFinite

from .batches import batch_of, weights_of


def test_a_gradient_that_is_not_finite_changes_nothing(make_policy):
    policy = make_policy()
    before = weights_of(policy)
    stats = policy.update(batch_of(random.Random(0), advantage=3e38))
    assert "not finite" in stats.skipped
    assert all(torch.equal(before[name], weight) for name, weight in policy.named_weights())
    stats = policy.update(batch_of(random.Random(0)))  # nothing of the bad gradient is left
    assert not stats.skipped
    assert stats.grad_norm == make_policy().update(batch_of(random.Random(0))).grad_norm


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("lr", [1e30, 1e4, 10.0])
def test_a_step_that_would_ruin_the_model_is_not_made(make_policy, dtype, lr):
    """Whether it would overflow or leave finite nonsense; what follows is as if it had not been."""
    batch = batch_of(random.Random(0), advantage=1.0)
    policy, other = make_policy(dtype, lr=lr), make_policy(dtype, lr=1e-3)
    before = weights_of(policy)
    for _ in range(2):
        stats = policy.update(batch)
        assert "would ruin the model" in stats.skipped
        assert all(torch.equal(before[name], weight) for name, weight in policy.named_weights())
    policy._optimizer._config = other._optimizer._config
    policy.update(batch)
    other.update(batch)
    for name, weight in policy.named_weights():
        assert torch.equal(weight, dict(other.named_weights())[name])


def test_weights_that_are_not_finite_are_said_to_be_so(make_policy):
    """Whatever `accept` would make of the gap to what was sampled."""
    policy = make_policy()
    policy.check_finite()
    dict(policy.named_weights())["model.norm.weight"][3] = float("nan")
    batch = [
        replace(s, behaviour_logprobs=(-1.0,) * len(s.response_ids))
        for s in batch_of(random.Random(0))
    ]
    with pytest.raises(NotFinite, match="the model's numbers are not finite"):
        policy.update(batch, accept=lambda stats: pytest.fail("was asked"))
    with pytest.raises(NotFinite):
        policy.check_finite()


@pytest.mark.parametrize("fault", ["preview", "step"])
def test_an_update_that_breaks_off_leaves_weights_and_no_gradients(make_policy, fault):
    """As when memory runs out: what is shown is what the masters hold."""
    policy = make_policy(lr=1e-2)
    before = weights_of(policy)
    target = policy._optimizer._adamw if fault == "step" else policy

    def fail(*arguments):
        raise MemoryError

    setattr(target, {"step": "step", "preview": "_fall"}[fault], fail)
    with pytest.raises(MemoryError):
        policy.update(batch_of(random.Random(0)))
    assert all(torch.equal(before[name], weight) for name, weight in policy.named_weights())
    assert all(master.grad is None for master in policy._optimizer._masters.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("tied", [True, False])
def test_a_preview_is_the_step(make_policy, tiny, tiny_untied, dtype, decay, tied):
    """What is judged before a step is what the step makes, from the second step on with moments;
    meanwhile no weight moves."""
    files = tiny if tied else tiny_untied
    policy = make_policy(dtype, files=files, lr=1e-2, weight_decay=decay)
    answers = batch_of(random.Random(9))
    fall, before, shown = policy._fall, {}, []

    def look(*given):
        shown.append(policy.answer_logprobs(answers))
        return fall(*given)

    step = policy._optimizer.step

    def look_and_step(norm):
        assert all(torch.equal(before[name], weight) for name, weight in policy.named_weights())
        step(norm)

    policy._fall, policy._optimizer.step = look, look_and_step
    for seed in range(3):
        before = weights_of(policy)
        assert policy.update(batch_of(random.Random(seed))).moved
        after = policy.answer_logprobs(answers)
        for seen, made in zip(shown[-1], after, strict=True):
            # In bf16 a weight may round to the number beside: the step is not fused as the real is.
            tolerance = 1e-5 if dtype == "float32" else 0.05
            assert seen == pytest.approx(made, abs=tolerance)
        assert shown[-1] != [[]] * len(answers)


def test_what_accept_raises_leaves_the_weights(make_policy):
    policy = make_policy()
    before = weights_of(policy)

    def refuse(stats):
        assert stats.gap_tokens
        assert stats.logprob_gap
        raise RuntimeError("no")

    batch = batch_of(random.Random(0), logprobs=None)
    batch = [replace(s, behaviour_logprobs=(-4.0,) * len(s.response_ids)) for s in batch]
    with pytest.raises(RuntimeError, match="no"):
        policy.update(batch, accept=refuse)
    assert all(torch.equal(before[name], weight) for name, weight in policy.named_weights())


def test_a_far_token_counts_as_three_nats_in_the_gap(make_policy):
    """One token that is sampled at log-prob -1e6, or a NaN, cannot make the mean of many."""
    one = batch_of(random.Random(0), count=1)[0]
    for far in (-1e6, float("nan")):
        policy = make_policy()
        (right,) = policy.answer_logprobs([one])
        stats = policy.update([replace(one, behaviour_logprobs=(far, *right[1:]))])
        assert stats.logprob_gap == pytest.approx(3 / len(right), abs=1e-5)
        assert stats.logprob_gap_max > 1e5
