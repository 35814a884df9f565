"""The operations as somebody meets them who imports them: names, batches, the loss as a module."""

import doctest
import importlib
import subprocess
import sys

import pytest
import torch
from head_cases import error, inputs

import azr_fast.ops
from azr_fast.ops import (
    LinearPolicyLoss,
    Objective,
    linear_logprob,
    linear_policy_loss,
)

FUNCTIONS = ["linear_logprob", "linear_policy_loss", "selective_logprob", "group_advantage"]
SIZES = 3, 4  # B, T


@pytest.mark.parametrize("first", ["", "import azr_fast.ops.{0}", "from azr_fast.ops import rows"])
def test_a_name_is_a_function_whatever_was_imported_before(first):
    check = "from azr_fast.ops import {0}\nimport azr_fast.ops.{0}\nassert callable({0})"
    code = [first, check, "assert callable(azr_fast.ops.{0})"]
    lines = ["\n".join(code).format(name) for name in FUNCTIONS]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


@pytest.mark.parametrize("name", ["linear_logprob", "linear_policy_loss", "policy_module"])
def test_the_examples_of_docstrings_are_true(name):
    module = importlib.import_module(f"azr_fast.ops.{name}")
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
    assert found.attempted >= 6


@pytest.fixture
def flat():
    return inputs(0, 12, 8, 33)


def in_batch(values):
    return values.reshape(*SIZES, *values.shape[1:])


def test_log_probabilities_of_a_batch_are_those_of_its_rows(flat):
    hidden, weight, targets, *_ = flat
    temperature = torch.rand(12) + 0.5
    expected = linear_logprob(hidden, weight, targets, temperature=temperature)
    got = linear_logprob(
        in_batch(hidden), weight, in_batch(targets), temperature=in_batch(temperature)
    )
    for part, whole in zip(got, expected, strict=True):
        assert torch.equal(part, in_batch(whole))


def test_the_policy_loss_of_a_batch_is_that_of_its_rows(flat):
    hidden, weight, targets, advantage, entropy_weight = flat
    tensors = advantage, torch.rand(12), entropy_weight, advantage - 2.0
    d_weights = torch.zeros(2, 33, 8)

    def loss(shape, d_weight):
        a, w, e, b = map(shape, tensors)
        objective = Objective(a, w, e, b, correction="clip")
        return linear_policy_loss(shape(hidden), weight, shape(targets), objective, d_weight)

    expected, got = loss(lambda t: t, d_weights[0]), loss(in_batch, d_weights[1])
    for name in ("logp_N", "loss_N", "entropy_N", "clipped_N", "d_hidden_NH"):
        assert torch.equal(getattr(got, name), in_batch(getattr(expected, name))), name
    assert torch.equal(*d_weights)


def reference(hidden, weight, targets, advantages, mask, behaviour, temperature):
    """PPO's clipped loss with an entropy bonus of 0.01, in float64 by autograd."""
    hidden, weight = (t.detach().double().requires_grad_() for t in (hidden, weight))
    logits = (hidden @ weight.T / temperature).log_softmax(-1)
    logp = logits.gather(-1, targets.clamp_min(0)[..., None])[..., 0]
    entropy = -(logits.exp() * logits).sum(-1)
    ratio = (logp - behaviour).exp()
    surrogate = torch.minimum(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages)
    loss = (-(surrogate + 0.01 * entropy) * mask).sum() / mask.sum()
    loss.backward()
    return loss, hidden.grad, weight.grad


@pytest.mark.parametrize("per_answer", [True, False])
def test_the_module_is_the_loss_and_gradient_of_plain_torch(flat, per_answer):
    hidden, weight, targets, *_ = flat
    hidden, targets = in_batch(hidden).requires_grad_(), in_batch(targets)
    weight = weight.requires_grad_()
    targets[0, -1] = -100
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0]]).bool()
    advantages = torch.tensor([1.0, -2.0, 0.5]) if per_answer else torch.randn(SIZES)
    with torch.no_grad():
        behaviour = linear_logprob(
            hidden, weight, targets, temperature=0.7
        ).logp_N + 0.3 * torch.randn(SIZES)
    criterion = LinearPolicyLoss("clip", entropy_weight=0.01, temperature=0.7)
    out = criterion(hidden, weight, targets, advantages, mask, behaviour)
    (3.0 * out.loss).backward()

    spread = advantages[:, None].expand(SIZES) if per_answer else advantages
    kept = mask & (targets != -100)
    expected = reference(hidden, weight, targets, spread, kept, behaviour, 0.7)
    got = out.loss, hidden.grad / 3.0, weight.grad / 3.0
    assert all(error(g.detach(), e.detach()) < 2e-5 for g, e in zip(got, expected, strict=True))
    assert out.clipped.shape == out.logp.shape == SIZES
    assert not out.logp.requires_grad


def test_a_frozen_head_gets_no_gradient_and_a_mask_of_nothing_no_loss(flat):
    hidden, weight, targets, advantage, _ = flat
    hidden.requires_grad_()
    out = LinearPolicyLoss()(hidden, weight, targets, advantage, mask=torch.zeros(12))
    out.loss.backward()
    assert out.loss.item() == 0.0
    assert not hidden.grad.any()
    assert weight.grad is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"advantages": torch.ones(4)}, "one advantage per target or per answer is needed"),
        ({"mask": torch.ones(4)}, "one mask element per target is needed"),
        ({"behaviour_logp": torch.ones(3)}, "one behaviour_logp per target is needed"),
        ({"targets": torch.zeros(12, dtype=torch.long)}, "one target per hidden state is needed"),
        ({"targets": torch.full(SIZES, 33)}, "targets must lie in"),
        ({"advantages": torch.full(SIZES, torch.nan)}, "advantage holds nan or inf"),
    ],
)
def test_what_would_give_a_wrong_number_is_refused_by_name(flat, change, message):
    hidden, weight, targets, advantage, _ = flat
    given = {
        "hidden": in_batch(hidden),
        "weight": weight,
        "targets": in_batch(targets),
        "advantages": in_batch(advantage),
    }
    with pytest.raises(ValueError, match=message):
        LinearPolicyLoss()(**(given | change))


def test_every_public_name_is_there():
    assert all(hasattr(azr_fast.ops, name) for name in azr_fast.ops.__all__)


def test_it_trains_a_head():
    """A loop as in the README: the sampled word becomes likelier where it was rewarded."""
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 20, bias=False)
    hidden, targets = torch.randn(4, 6, 8), torch.randint(20, (4, 6))
    optimizer = torch.optim.SGD(head.parameters(), lr=1.0)
    before = linear_logprob(hidden, head.weight, targets).logp_N.detach().mean(1)
    for _ in range(5):
        out = LinearPolicyLoss()(hidden, head.weight, targets, torch.tensor([1.0, 1.0, -1.0, 0.0]))
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
    after = linear_logprob(hidden, head.weight, targets).logp_N.detach().mean(1)
    assert (after - before)[:2].min() > 0 > (after - before)[2]
