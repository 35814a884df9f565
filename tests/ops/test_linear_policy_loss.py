"""The one-pass head against fp64 autograd on the same inputs, on every implementation."""

import pytest
import torch
from head_cases import (
    GRAD,
    assert_close,
    dtypes,
    error,
    implementations,
    inputs,
    oracle,
    temperatures,
)

from azr_fast.ops.head import IGNORED
from azr_fast.ops.linear_policy_loss import linear_policy_loss


def run(hidden, weight, targets, coefficient, entropy_weight, **options):
    d_weight = torch.zeros(weight.shape)
    result = linear_policy_loss(
        hidden, weight, targets, coefficient, entropy_weight, d_weight, **options
    )
    return result.logp_N, result.entropy_N, result.d_hidden_NH, d_weight


@implementations
@dtypes
@pytest.mark.parametrize("vocabulary", [2, 7, 64, 1000, 4097])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_against_fp64_autograd(implementation, dtype, vocabulary, temperature, seed):
    case = inputs(seed, 37, 24, vocabulary, dtype, 3 * temperature)
    got = run(*case, implementation=implementation, temperature=temperature, chunk=16)
    expected = oracle(*case, temperature)
    assert_close(got, expected, dtype)


@implementations
@dtypes
def test_the_named_bounds(implementation, dtype):
    case = inputs(0, 256, 64, 4097, dtype)
    assert_close(run(*case, implementation=implementation), oracle(*case), dtype, GRAD)


@implementations
@dtypes
@pytest.mark.parametrize(
    ("tokens", "width", "vocabulary"), [(127, 72, 1000), (33, 130, 4097), (9, 72, 50257)]
)
def test_shapes_that_no_tile_divides(implementation, dtype, tokens, width, vocabulary, seed):
    case = inputs(seed, tokens, width, vocabulary, dtype)
    assert_close(run(*case, implementation=implementation, chunk=32), oracle(*case), dtype)


@implementations
@dtypes
def test_a_temperature_per_token(implementation, dtype, seed):
    case, temperature_N = inputs(seed, 37, 24, 1000, dtype, 1.5), temperatures(seed, 37)
    got = run(*case, implementation=implementation, temperature=temperature_N, chunk=16)
    assert_close(got, oracle(*case, temperature_N), dtype)


@implementations
def test_both_kinds_of_ids_and_strided_inputs_are_taken(implementation, seed):
    hidden, weight, targets, *coefficients = inputs(seed, 9, 16, 131)
    strided = (
        hidden.repeat_interleave(2, 0)[::2],
        weight.T.contiguous().T,
        targets.int().repeat_interleave(3)[::3],
        *(c.repeat_interleave(2)[::2] for c in coefficients),
    )
    assert not any(t.is_contiguous() for t in strided)
    expected = oracle(hidden, weight, targets, *coefficients)
    assert_close(run(*strided, implementation=implementation), expected, torch.float32)


@implementations
@dtypes
@pytest.mark.parametrize("level", [-300.0, 300.0])
def test_logits_far_from_zero(implementation, dtype, level, seed):
    hidden, weight, targets, coefficient, entropy_weight = inputs(seed, 5, 8, 100, dtype)
    hidden[:, 0], weight[:, 0] = level, 1.0  # every logit is moved by `level`
    case = hidden, weight, targets, coefficient, entropy_weight
    got, expected = run(*case, implementation=implementation), oracle(*case)
    assert all(value.isfinite().all() for value in got)
    if dtype == torch.float32:  # bf16 logits near 300 are rounded to steps of 2
        assert error(got[0], expected[0]) < 1e-4
        assert error(got[3], expected[3]) < 1e-4


@implementations
def test_a_certain_token(implementation):
    """One logit far above all others: logp 0 or very low, entropy 0, no nan."""
    hidden = torch.tensor([[1.0], [1.0]])
    weight = torch.zeros(50, 1)
    weight[3] = 5000.0
    ones = torch.ones(2)
    logp, entropy, d_hidden, d_weight = run(
        hidden, weight, torch.tensor([3, 4]), ones, ones, implementation=implementation
    )
    assert logp.tolist() == [0.0, -5000.0]
    assert entropy.tolist() == [0.0, 0.0]
    assert d_hidden.isfinite().all()
    assert d_weight[:, 0][[3, 4]].tolist() == [1.0, -1.0]


@implementations
def test_targets_in_the_first_and_last_column(implementation, seed):
    hidden, weight, _, coefficient, entropy_weight = inputs(seed, 4, 16, 131)
    case = hidden, weight, torch.tensor([0, 130, 130, 0]), coefficient, entropy_weight
    assert_close(run(*case, implementation=implementation), oracle(*case), torch.float32)


@implementations
@pytest.mark.parametrize("tokens", [0, 1])
def test_few_tokens(implementation, tokens, seed):
    case = inputs(seed, tokens, 16, 131)
    got = run(*case, implementation=implementation)
    assert [tuple(value.shape) for value in got] == [(tokens,), (tokens,), (tokens, 16), (131, 16)]
    assert_close(got, oracle(*case), torch.float32)


@implementations
def test_tokens_without_weight_are_not_computed(implementation, seed):
    hidden, weight, targets, coefficient, entropy_weight = inputs(seed, 6, 16, 131)
    coefficient[[0, 3]] = 0.0
    entropy_weight[[0, 3, 4]] = 0.0
    case = hidden, weight, targets, coefficient, entropy_weight
    logp, entropy, d_hidden, d_weight = run(*case, implementation=implementation)
    expected = oracle(*case)
    kept = [1, 2, 4, 5]
    assert logp.isnan().tolist() == [True, False, False, True, False, False]
    assert entropy.isnan().tolist() == logp.isnan().tolist()
    assert_close(
        (logp[kept], entropy[kept], d_hidden, d_weight),
        (expected[0][kept], expected[1][kept], *expected[2:]),
        torch.float32,
    )
    some = torch.where(torch.arange(6) == 1, IGNORED, targets)
    assert run(hidden, weight, some, *case[3:], implementation=implementation)[0].isnan()[1]
    nothing = run(hidden, weight, targets, coefficient * 0, entropy_weight * 0)
    assert nothing[0].isnan().all()
    assert not nothing[2].any()
    assert not nothing[3].any()


@implementations
def test_the_weight_gradient_is_added(implementation, seed):
    case = inputs(seed, 5, 8, 33)
    d_weight = torch.full((33, 8), 2.0)
    linear_policy_loss(*case, d_weight, implementation=implementation)
    assert torch.allclose(d_weight - 2.0, run(*case, implementation=implementation)[3], atol=1e-5)


@implementations
@dtypes
def test_two_runs_are_bitwise_equal(implementation, dtype, seed):
    case = inputs(seed, 70, 24, 1003, dtype)
    first, second = (run(*case, implementation=implementation, chunk=32) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
