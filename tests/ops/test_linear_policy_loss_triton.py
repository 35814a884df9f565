"""The row kernels between the head's products, interpreted, against fp64 on the same logits."""

from dataclasses import replace

import pytest
import torch
from head_cases import error, temperatures

from azr_fast.ops.objective import Objective, TokenResults
from azr_fast.ops.rows import choose_rows, head_statistics
from azr_fast.ops.rows_triton import TritonRows

LOGP, ENTROPY = 2e-5, 1e-4
# Rounded to the logits' dtype: the interpreter cuts bf16 off where a GPU rounds.
GRAD = {torch.float32: 1e-5, torch.bfloat16: 1e-5 + 2**-7}
OBJECTIVES = {
    "none": {},
    "entropy": {"entropy_weight": 0.02},
    "clip": {"correction": "clip"},
    "clip, entropy": {"correction": "clip", "entropy_weight": 0.02},
    "clip, dual": {"correction": "clip", "low": 0.1, "high": 0.3, "dual": 1.2},
    "truncate": {"correction": "truncate", "cap": 1.1},
    "kl": {"correction": "truncate", "kl_weight": 0.1, "entropy_weight": 0.01},
}
objectives = pytest.mark.parametrize("options", OBJECTIVES.values(), ids=OBJECTIVES)
dtypes = pytest.mark.parametrize("dtype", GRAD, ids=str)


@pytest.fixture
def call(interpreter):
    return lambda *arguments: interpreter("triton_calls:policy_loss", *arguments)[0]


def rows(seed, vocabulary, dtype=torch.float32, count=9):
    """Logits, targets, scales, and log-probabilities of the targets."""
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(count, vocabulary, generator=generator) * 3).to(dtype)
    targets = torch.randint(vocabulary, (count,), generator=generator)
    targets[-1] = vocabulary - 1
    scale = temperatures(seed, count).reciprocal()
    return logits, targets, scale, double_rows(logits, targets, scale)[0]


def double_rows(logits, targets, scale):
    logp_CV = (logits.double() * scale.double()[:, None]).log_softmax(1)
    return logp_CV.gather(1, targets[:, None])[:, 0], logp_CV


def make_objective(seed, logp, options):
    """Off policy by up to some 60%, a reference nearby, some tokens masked."""
    generator = torch.Generator().manual_seed(seed + 1)
    normal = torch.randn(4, logp.numel(), generator=generator)
    weight = normal[1].abs()
    weight[3] = 0.0
    logp = logp.float()
    objective = Objective(
        normal[0],
        weight,
        behaviour_logp_N=logp + normal[2] * 0.5,
        reference_logp_N=logp + normal[3] * 0.2,
        **options,
    )
    return objective.checked(torch.zeros(logp.numel(), dtype=torch.int64))


def oracle(logits, targets, scale, objective):
    """Results [6, C] and d logits in fp64."""
    logp, logp_CV = double_rows(logits, targets, scale)
    entropy = -(logp_CV.exp() * logp_CV).sum(1)
    double = replace(objective, per_token_7N=objective.per_token_7N.double())
    terms = double.terms(logp, entropy)
    c, e = terms.coefficient[:, None], terms.entropy_coefficient[:, None]
    d_logits = logp_CV.exp() * (c + e * (logp_CV + entropy[:, None]))
    d_logits.scatter_add_(1, targets[:, None], -c)
    results = logp, entropy, terms.loss, terms.coefficient, terms.k3, terms.clipped.double()
    return torch.stack(results), d_logits * scale[:, None]


def assert_close(got, expected, dtype=torch.float32):
    bounds = TokenResults(LOGP, ENTROPY, 1e-5, 1e-5, 1e-4, 0.0)
    for value, reference, bound in zip(got[0], expected[0], bounds, strict=True):
        assert error(value, reference) <= bound
    assert got[1].dtype == dtype
    assert error(got[1], expected[1]) <= GRAD[dtype]


@objectives
@dtypes
@pytest.mark.parametrize("vocabulary", [1, 7, 1000, 3001])
def test_against_fp64(call, seed, options, dtype, vocabulary):
    *some, logp = rows(seed, vocabulary, dtype)
    objective = make_objective(seed, logp, options)
    assert_close(call(*some, objective), oracle(*some, objective), dtype)


@pytest.mark.parametrize("vocabulary", [49152, 50257, 151936, 152064])
def test_the_vocabularies_of_models(call, seed, vocabulary):
    *some, logp = rows(seed, vocabulary, count=4)
    objective = make_objective(seed, logp, OBJECTIVES["kl"])
    assert_close(call(*some, objective), oracle(*some, objective))


@pytest.mark.parametrize("vocabulary", [7, 1000, 9001])
@pytest.mark.parametrize("padded", [False, True], ids=["packed rows", "aligned rows"])
def test_a_bf16_gradient_over_fp32_logits(call, seed, vocabulary, padded):
    """As on a GPU, where rows are aligned. The statistics are the very same."""
    *some, logp = rows(seed, vocabulary)
    objective = make_objective(seed, logp, OBJECTIVES["kl"])
    expected, (results, _) = oracle(*some, objective), call(*some, objective)
    if padded:
        buffer = torch.full((9, vocabulary + 64 - vocabulary % 64), torch.nan)
        buffer[:, :vocabulary] = some[0]
        some[0] = buffer[:, :vocabulary]
    got = call(*some, objective, torch.bfloat16)
    assert_close(got, expected, torch.bfloat16)
    if not padded:
        assert torch.equal(got[0], results)


@dtypes
def test_on_policy_the_coefficient_is_the_advantage(call, seed, dtype):
    """A ratio of bitwise equal log-probabilities is exactly 1."""
    *some, logp = rows(seed, 1000, dtype)
    plain = make_objective(seed, logp, {})
    (results, _) = call(*(t.clone() for t in some), plain)
    exactly = replace(plain, per_token_7N=plain.per_token_7N.clone(), correction=1)
    exactly.per_token_7N[3] = results[0]
    exactly.per_token_7N[4:6] = 1.0  # bounds that only a ratio of 1 keeps
    results = TokenResults(*call(*some, exactly)[0])
    advantage, weight = exactly.per_token_7N[:2]
    assert torch.equal(results.coefficient, advantage * weight)
    assert not results.clipped.any()


def test_clipped_and_masked_rows_are_zero(call, seed):
    *some, logp = rows(seed, 3001)
    objective = make_objective(seed, logp, OBJECTIVES["clip"])
    objective.per_token_7N[0] = 1.0
    objective.per_token_7N[3] = logp.float()
    objective.per_token_7N[3, ::2] -= 1.0  # ratio e > 1.2
    results, d_logits = call(*some, objective)
    assert TokenResults(*results).clipped[::2].all()
    assert not d_logits[::2].any()
    assert not d_logits[3].any()
    assert d_logits[1].any()


@pytest.mark.parametrize("away", [-50.0, 50.0])
@pytest.mark.parametrize("correction", ["clip", "truncate"])
def test_exponents_are_clamped(call, seed, away, correction):
    *some, logp = rows(seed, 100)
    objective = make_objective(seed, logp, {"correction": correction, "kl_weight": 1e-9})
    objective.per_token_7N[3] = logp.float() - away
    objective.per_token_7N[6] = logp.float() + away
    got, expected = call(*some, objective), oracle(*some, objective)
    assert_close(got, expected)
    assert got[0].isfinite().all()


def test_k3_keeps_its_digits_near_the_reference(call, seed):
    """exp(x) - x - 1 loses all of them to the difference."""
    *some, logp = rows(seed, 100)
    plain = make_objective(seed, logp, {})
    results, _ = call(*(t.clone() for t in some), plain)
    objective = replace(plain, per_token_7N=plain.per_token_7N.clone())
    distance = torch.logspace(-3, 0.3, 9) * torch.tensor([1.0, -1.0, 1.0] * 3)
    objective.per_token_7N[6] = results[0] + distance
    k3 = TokenResults(*call(*some, objective)[0]).k3
    exact = (objective.per_token_7N[6] - results[0]).double()
    assert ((k3 / (exact.expm1() - exact)) - 1).abs().max() < 2e-6


@objectives
def test_a_row_of_nan_is_nan_and_no_other(call, seed, options):
    *some, logp = rows(seed, 1500)
    objective = make_objective(seed, logp, options)
    clean = call(*(t.clone() for t in some), objective)
    some[0][5, 700] = torch.nan
    results, d_logits = call(*some, objective)
    others = torch.arange(9) != 5
    assert results[:4, 5].isnan().all()
    assert d_logits[5].isnan().any()
    assert torch.equal(results[:, others], clean[0][:, others])
    assert torch.equal(d_logits[others], clean[1][others])


@dtypes
def test_two_runs_are_bitwise_equal(call, seed, dtype):
    *some, logp = rows(seed, 1503, dtype)
    objective = make_objective(seed, logp, OBJECTIVES["kl"])
    runs = [call(*(t.clone() for t in some), objective) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@dtypes
@pytest.mark.parametrize("vocabulary", [1, 7, 1000, 9001])
@pytest.mark.parametrize("level", [0.0, -300.0, 300.0])
def test_statistics_are_those_of_fp64(interpreter, seed, dtype, vocabulary, level):
    logits, targets, scale, _ = rows(seed, vocabulary, dtype)
    logits = (logits.float() + level).to(dtype)
    logp, logp_CV = double_rows(logits, targets, scale)
    expected = logp, -(logp_CV.exp() * logp_CV).sum(1), (logits * scale[:, None].double()).amax(1)
    got, _ = interpreter("triton_calls:row_statistics", logits, targets, scale)
    for value, reference in zip(got, expected, strict=True):
        assert (value - reference).abs().max() < 2e-4


@objectives
def test_the_whole_operation(interpreter, seed, options):
    """Through head, chunks and products, as with any other rows."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(21, 24, generator=generator) * 0.6
    weight = torch.randn(103, 24, generator=generator)
    targets = torch.randint(103, (21,), generator=generator)
    scale = temperatures(seed, 21).reciprocal()
    logits = hidden.double() @ weight.double().T
    objective = make_objective(seed, double_rows(logits, targets, scale)[0], options)
    results, d_logits = oracle(logits, targets, scale, objective)
    arguments = hidden, weight, targets, scale, objective, 8
    (got, d_weight), _ = interpreter("triton_calls:one_pass", *arguments)
    kept = objective.needed()
    expected = TokenResults(*results)
    assert got.logp_N.isnan().tolist() == (~kept).tolist()
    assert error(got.logp_N[kept], expected.logp[kept]) < LOGP
    assert error(got.loss_N, expected.loss.where(kept, 0.0)) < 2e-5
    assert torch.equal(got.clipped_N[kept], expected.clipped[kept].bool())
    assert error(got.d_hidden_NH, d_logits @ weight.double()) < 2e-5
    assert error(d_weight, d_logits.T @ hidden.double()) < 2e-5


def test_a_gpu_gets_these_rows():
    rows = choose_rows("auto", torch.device("cuda"))
    assert isinstance(rows, TritonRows)
    assert head_statistics(rows, torch.bfloat16) == rows.head_statistics
    assert head_statistics(rows, torch.float32) is None
    assert head_statistics(choose_rows("auto", torch.device("cpu")), torch.bfloat16) is None
