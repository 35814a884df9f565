"""The autograd form of the head: what it ignores, remembers and never holds. Numbers: test_head.py."""

import pytest
import torch
from head_cases import assert_close, autograd, error, implementations, inputs, oracle
from torch.utils._python_dispatch import TorchDispatchMode

from azr_fast.ops.head import IGNORED
from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.objective import Objective

SAME = 2e-6  # two ways of the same sums in fp32


@implementations
def test_ignored_targets_are_zero_and_without_gradient(implementation, seed):
    hidden, weight, targets, *coefficients = inputs(seed, 12, 16, 131)
    kept = torch.tensor([1, 2, 5, 8, 11])
    some = torch.full_like(targets, IGNORED).index_copy_(0, kept, targets[kept])
    logp, entropy, d_hidden, d_weight = autograd(
        hidden, weight, some, *coefficients, implementation=implementation
    )
    expected = oracle(hidden[kept], weight, targets[kept], *(c[kept] for c in coefficients))
    assert_close(
        (logp[kept], entropy[kept], d_hidden[kept], d_weight),
        expected,
        torch.float32,
        implementation,
    )
    ignored = some == IGNORED
    assert not torch.cat([logp[ignored], entropy[ignored], d_hidden[ignored].flatten()]).any()
    none = autograd(hidden, weight, torch.full_like(targets, IGNORED), *coefficients)
    assert not any(value.any() for value in none)


@implementations
def test_the_one_pass_loss_says_the_same(implementation, seed):
    case = inputs(seed, 37, 24, 1000)
    *head, coefficient, entropy_weight = case
    d_weight = torch.zeros_like(case[1])
    objective = Objective(coefficient, torch.ones(37), entropy_weight)
    loss = linear_policy_loss(*head, objective, d_weight, implementation=implementation)
    expected = loss.logp_N, loss.entropy_N, loss.d_hidden_NH, d_weight
    for a, b in zip(autograd(*case, implementation=implementation), expected, strict=True):
        assert error(a, b.double()) < SAME


@implementations
def test_a_token_of_nan_is_nan_and_no_other(implementation, seed):
    hidden, weight, targets, *_ = inputs(seed, 9, 16, 131)
    clean = linear_logprob(hidden, weight, targets, implementation=implementation)
    hidden[4] = torch.nan
    spoilt = linear_logprob(hidden, weight, targets, implementation=implementation)
    others = torch.arange(9) != 4
    for before, after in zip(clean, spoilt, strict=True):
        assert after.isnan().tolist() == (~others).tolist()
        assert torch.equal(before[others], after[others])


class LargestTensor(TorchDispatchMode):
    """Elements of the largest tensor that any operation returned."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = result if isinstance(result, tuple | list) else [result]
        sizes = [t.numel() for t in tensors if isinstance(t, torch.Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return result


@implementations
def test_the_logits_are_never_whole(implementation, seed):
    tokens, width, vocabulary, chunk = 256, 8, 1000, 32
    case = inputs(seed, tokens, width, vocabulary)
    with LargestTensor() as largest:
        autograd(*case, implementation=implementation, chunk=chunk)
    assert chunk * vocabulary <= largest.elements < chunk * (vocabulary + 100)


def test_gradients_go_where_they_are_asked_for(seed):
    hidden, weight, targets, *_ = inputs(seed, 9, 16, 131)
    assert not linear_logprob(hidden, weight, targets).logp_N.requires_grad
    both = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
    linear_logprob(*both, targets).logp_N.sum().backward()
    for wanted in (0, 1):
        alone = [hidden.clone(), weight.clone()]
        alone[wanted].requires_grad_()
        linear_logprob(*alone, targets).logp_N.sum().backward()
        assert torch.equal(alone[wanted].grad, both[wanted].grad)
        assert alone[1 - wanted].grad is None


def test_a_weight_changed_before_the_backward_pass_is_noticed(seed):
    hidden, weight, targets, *_ = inputs(seed, 9, 16, 131)
    logp_N = linear_logprob(hidden.requires_grad_(), weight, targets).logp_N
    weight += 1.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        logp_N.sum().backward()
