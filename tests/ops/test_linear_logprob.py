"""Log-probs and entropies from hidden states, both gradients: against fp64 autograd."""

import pytest
import torch
from head_cases import assert_close, dtypes, error, implementations, inputs, oracle, temperatures
from torch.utils._python_dispatch import TorchDispatchMode

from azr_fast.ops.head import IGNORED
from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.objective import Objective

SAME = 2e-6  # two ways of the same sums in fp32


def run(hidden, weight, targets, coefficient, entropy_weight, **options):
    """What `oracle` returns, through the autograd form."""
    hidden, weight = (t.detach().requires_grad_() for t in (hidden, weight))
    logp, entropy = linear_logprob(hidden, weight, targets, **options)
    (-(coefficient * logp + entropy_weight * entropy).sum()).backward()
    return logp.detach(), entropy.detach(), hidden.grad, weight.grad


@implementations
@dtypes
@pytest.mark.parametrize(
    ("tokens", "width", "vocabulary"),
    [
        (37, 24, 7),
        (127, 72, 1000),
        (33, 130, 4097),
        (9, 72, 50257),
        (0, 72, 1000),
        (9, 896, 131),
        (24, 576, 49152),
        (24, 64, 151936),
        (24, 64, 152064),
        (70000, 8, 7),
    ],
)
def test_against_fp64_autograd(implementation, dtype, tokens, width, vocabulary, seed):
    case = inputs(seed, tokens, width, vocabulary, dtype)
    got = run(*case, implementation=implementation, chunk=max(32, tokens // 4))
    assert_close(got, oracle(*case), dtype, implementation)
    assert [value.dtype for value in got] == [torch.float32, torch.float32, dtype, dtype]


@implementations
@pytest.mark.parametrize("temperature", [0.5, 1.7, 2])
def test_one_temperature_for_all_tokens(implementation, temperature, seed):
    case = inputs(seed, 37, 24, 1000)
    got = run(*case, implementation=implementation, temperature=temperature)
    assert_close(got, oracle(*case, temperature), torch.float32, implementation)


@implementations
@dtypes
def test_a_temperature_per_token(implementation, dtype, seed):
    case, temperature_N = inputs(seed, 37, 24, 1000, dtype, 1.5), temperatures(seed, 37)
    got = run(*case, implementation=implementation, temperature=temperature_N, chunk=16)
    assert_close(got, oracle(*case, temperature_N), dtype, implementation)


@implementations
@pytest.mark.parametrize("level", [-250.0, 250.0])
def test_logits_far_from_zero(implementation, level, seed):
    hidden, weight, *others = inputs(seed, 9, 8, 1003)
    hidden[:, 0], weight[:, 0] = level, 1.0  # every logit is moved by `level`
    got = run(hidden, weight, *others, implementation=implementation)
    expected = oracle(hidden, weight, *others)
    assert all(error(a, b) < 1e-4 for a, b in zip(got, expected, strict=True))


@implementations
def test_targets_in_the_first_and_last_column(implementation, seed):
    hidden, weight, _, *coefficients = inputs(seed, 4, 16, 131)
    case = hidden, weight, torch.tensor([0, 130, 130, 0]), *coefficients
    assert_close(
        run(*case, implementation=implementation), oracle(*case), torch.float32, implementation
    )


@implementations
def test_one_token_and_one_column(implementation):
    hidden, weight, target = torch.ones(1, 8), torch.ones(1, 8), torch.tensor([0])
    logp, entropy, d_hidden, d_weight = run(
        hidden, weight, target, torch.ones(1), torch.ones(1), implementation=implementation
    )
    assert (logp.item(), entropy.item()) == (0.0, 0.0)
    assert not d_hidden.any()
    assert not d_weight.any()


@implementations
def test_ignored_targets_are_zero_and_without_gradient(implementation, seed):
    hidden, weight, targets, *coefficients = inputs(seed, 12, 16, 131)
    kept = torch.tensor([1, 2, 5, 8, 11])
    some = torch.full_like(targets, IGNORED).index_copy_(0, kept, targets[kept])
    logp, entropy, d_hidden, d_weight = run(
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
    none = run(hidden, weight, torch.full_like(targets, IGNORED), *coefficients)
    assert not any(value.any() for value in none)


@implementations
def test_both_kinds_of_ids_are_taken(implementation, seed):
    hidden, weight, targets, *coefficients = inputs(seed, 9, 16, 131)
    wide, narrow = (
        run(hidden, weight, ids, *coefficients, implementation=implementation)
        for ids in (targets, targets.int())
    )
    assert all(torch.equal(a, b) for a, b in zip(wide, narrow, strict=True))


@implementations
def test_strided_inputs(implementation, seed):
    hidden, weight, targets, *coefficients = inputs(seed, 9, 16, 131)
    strided = (
        hidden.repeat_interleave(2, 0)[::2],
        weight.T.contiguous().T,
        targets.repeat_interleave(3)[::3],
        *(c.repeat_interleave(2)[::2] for c in coefficients),
    )
    assert not any(t.is_contiguous() for t in strided)
    got = run(*strided, implementation=implementation, temperature=torch.ones(18)[::2])
    assert_close(got, oracle(hidden, weight, targets, *coefficients), torch.float32, implementation)


@implementations
@dtypes
def test_two_runs_are_bitwise_equal(implementation, dtype, seed):
    case = inputs(seed, 70, 24, 1003, dtype)
    first, second = (run(*case, implementation=implementation, chunk=32) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@implementations
def test_the_one_pass_loss_says_the_same(implementation, seed):
    case = inputs(seed, 37, 24, 1000)
    *head, coefficient, entropy_weight = case
    d_weight = torch.zeros_like(case[1])
    objective = Objective(coefficient, torch.ones(37), entropy_weight)
    loss = linear_policy_loss(*head, objective, d_weight, implementation=implementation)
    expected = loss.logp_N, loss.entropy_N, loss.d_hidden_NH, d_weight
    for a, b in zip(run(*case, implementation=implementation), expected, strict=True):
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
        run(*case, implementation=implementation, chunk=chunk)
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
