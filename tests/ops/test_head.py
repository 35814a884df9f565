"""Both operations of a head, the one pass and the autograd form, against fp64 autograd on the same
inputs, on every implementation."""

import pytest
import torch
from head_cases import (
    assert_close,
    autograd,
    dtypes,
    error,
    implementations,
    inputs,
    one_pass,
    oracle,
    temperatures,
)

from azr_fast.ops.products import LOGITS, GpuProducts

operations = pytest.mark.parametrize("run", [one_pass, autograd])
FP32 = torch.float32


@operations
@implementations
@dtypes
@pytest.mark.parametrize(
    ("tokens", "width", "vocabulary"),
    [
        (37, 24, 2),
        (37, 24, 7),
        (37, 24, 64),
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
def test_against_fp64_autograd(run, implementation, dtype, tokens, width, vocabulary, seed):
    case = inputs(seed, tokens, width, vocabulary, dtype)
    got = run(*case, implementation=implementation, chunk=max(32, tokens // 4))
    assert_close(got, oracle(*case), dtype, implementation)
    d_weight_dtype = FP32 if run is one_pass else dtype
    assert [value.dtype for value in got] == [FP32, FP32, dtype, d_weight_dtype]


@operations
@implementations
@dtypes
def test_the_named_bounds(run, implementation, dtype, seed):
    case = inputs(seed, 256, 64, 4097, dtype)
    got = run(*case, implementation=implementation)
    assert_close(got, oracle(*case), dtype, implementation, few=False)


@operations
@implementations
@dtypes
@pytest.mark.parametrize("temperature", [0.5, 0.7, 2])
def test_one_temperature_for_all_tokens(run, implementation, dtype, temperature, seed):
    case = inputs(seed, 37, 24, 1000, dtype, 3 * temperature)
    got = run(*case, implementation=implementation, temperature=temperature)
    assert_close(got, oracle(*case, temperature), dtype, implementation)


@operations
@implementations
@dtypes
def test_a_temperature_per_token(run, implementation, dtype, seed):
    case, temperature_N = inputs(seed, 37, 24, 1000, dtype, 1.5), temperatures(seed, 37)
    got = run(*case, implementation=implementation, temperature=temperature_N, chunk=16)
    assert_close(got, oracle(*case, temperature_N), dtype, implementation)


@operations
@implementations
@dtypes
@pytest.mark.parametrize("level", [-250.0, 250.0])
def test_logits_far_from_zero(run, implementation, dtype, level, seed):
    hidden, weight, *others = inputs(seed, 9, 8, 1003, dtype)
    hidden[:, 0], weight[:, 0] = level, 1.0  # every logit is moved by `level`
    got = run(hidden, weight, *others, implementation=implementation)
    assert all(value.isfinite().all() for value in got)
    if dtype == FP32:  # bf16 logits near 250 are rounded to steps of 1
        expected = oracle(hidden, weight, *others)
        assert all(error(a, b) < 1e-4 for a, b in zip(got, expected, strict=True))


@operations
@implementations
def test_a_certain_token(run, implementation):
    """One logit far above all others: logp 0 or very low, entropy 0, no nan."""
    hidden, weight, ones = torch.ones(2, 1), torch.zeros(50, 1), torch.ones(2)
    weight[3] = 5000.0
    case = hidden, weight, torch.tensor([3, 4]), ones, ones
    logp, entropy, d_hidden, d_weight = run(*case, implementation=implementation)
    assert logp.tolist() == [0.0, -5000.0]
    assert entropy.tolist() == [0.0, 0.0]
    assert d_hidden.isfinite().all()
    assert d_weight[:, 0][[3, 4]].tolist() == [1.0, -1.0]


@operations
@implementations
def test_one_token_and_one_column(run, implementation):
    one = torch.ones(1)
    case = torch.ones(1, 8), torch.ones(1, 8), torch.tensor([0]), one, one
    logp, entropy, d_hidden, d_weight = run(*case, implementation=implementation)
    assert (logp.item(), entropy.item()) == (0.0, 0.0)
    assert not d_hidden.any()
    assert not d_weight.any()


@operations
@implementations
def test_one_token(run, implementation, seed):
    case = inputs(seed, 1, 16, 131)
    assert_close(run(*case, implementation=implementation), oracle(*case), FP32, implementation)


@operations
@implementations
def test_targets_in_the_first_and_last_column(run, implementation, seed):
    hidden, weight, _, *coefficients = inputs(seed, 4, 16, 131)
    case = hidden, weight, torch.tensor([0, 130, 130, 0]), *coefficients
    assert_close(run(*case, implementation=implementation), oracle(*case), FP32, implementation)


@operations
@implementations
def test_both_kinds_of_ids_are_taken(run, implementation, seed):
    hidden, weight, targets, *coefficients = inputs(seed, 9, 16, 131)
    wide, narrow = (
        run(hidden, weight, ids, *coefficients, implementation=implementation)
        for ids in (targets, targets.int())
    )
    assert all(torch.equal(a, b) for a, b in zip(wide, narrow, strict=True))


@operations
@implementations
def test_strided_inputs(run, implementation, seed):
    hidden, weight, targets, *coefficients = inputs(seed, 9, 16, 131)
    strided = (
        hidden.repeat_interleave(2, 0)[::2],
        weight.T.contiguous().T,
        targets.int().repeat_interleave(3)[::3],
        *(c.repeat_interleave(2)[::2] for c in coefficients),
    )
    assert not any(t.is_contiguous() for t in strided)
    got = run(*strided, implementation=implementation, temperature=torch.ones(18)[::2])
    assert_close(got, oracle(hidden, weight, targets, *coefficients), FP32, implementation)


@pytest.fixture
def poisoned():
    """Torch fills what it would leave uninitialised with nan."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@operations
@implementations
@dtypes
def test_uninitialised_memory_is_not_read(run, implementation, dtype, seed, poisoned):
    """Nor multiplied by 0, as oneDNN's AMX products do with what lies behind a row of 1000."""
    case = inputs(seed, 127, 72, 1000, dtype)
    got = run(*case, implementation=implementation)
    assert_close(got, oracle(*case), dtype, implementation)


@operations
@implementations
@dtypes
def test_two_runs_are_bitwise_equal(run, implementation, dtype, seed):
    case = inputs(seed, 70, 24, 1003, dtype)
    first, second = (run(*case, implementation=implementation, chunk=32) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("vocabulary", [7, 32000, 49152, 152064, 256000, 1 << 24])
def test_a_chunk_of_a_gpu_takes_the_same_memory_whatever_the_vocabulary(vocabulary):
    tokens = GpuProducts().chunk(vocabulary)
    assert tokens % 1024 == 0
    assert tokens == 1024 or LOGITS - 1024 * vocabulary < tokens * vocabulary <= LOGITS
