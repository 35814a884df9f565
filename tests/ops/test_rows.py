"""Rows of logits: each build of the C++ kernel, the torch rows and fp64 on the same bits."""

from dataclasses import astuple

import pytest
import torch
from head_cases import dtypes, error, temperatures
from objective_cases import kinds, make_objective, plain_loss

from azr_fast import _kernels
from azr_fast.errors import UserError
from azr_fast.ops import dispatch
from azr_fast.ops.objective import TokenResults
from azr_fast.ops.products import over
from azr_fast.ops.rows import TorchRows, choose_rows
from azr_fast.ops.rows_cpu import CpuRows

IMPLEMENTATIONS = TorchRows(), CpuRows()


def make_rows(seed, vocabulary, dtype, level=0.0, count=9):
    """Logits of standard deviation 3 around `level`, targets and a scale for each row."""
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(count, vocabulary, generator=generator) * 3 + level).to(dtype)
    targets = torch.randint(vocabulary, (count,), generator=generator)
    targets[-1] = vocabulary - 1
    return logits, targets, temperatures(seed, count).reciprocal()


def softmax_in_fp64(logits, targets, scale):
    """Log p of the targets and entropies, differentiable by the logits."""
    logp = (logits * scale.double()[:, None]).log_softmax(1)
    return logp.gather(1, targets[:, None])[:, 0], -(logp.exp() * logp).sum(1)


@pytest.mark.usefixtures("isa")
@dtypes
@kinds
def test_loss_and_gradient_are_those_of_fp64_on_the_same_logits(dtype, kind, seed):
    logits, targets, scale = make_rows(seed, 777, dtype, count=30)
    z = logits.double().requires_grad_()
    logp, entropy = softmax_in_fp64(z, targets, scale)
    objective = make_objective(kind, seed, logp.detach())
    loss, clipped, k3 = plain_loss(objective, logp, entropy)
    loss.sum().backward()
    for implementation in IMPLEMENTATIONS:
        mine, results = logits.clone(), torch.full((6, 30), torch.nan)
        per_row = targets, scale, objective.checked(targets)
        implementation.policy_loss(mine, *per_row, results)
        got = TokenResults(*results)
        for name, expected in (("logp", logp), ("entropy", entropy), ("loss", loss), ("k3", k3)):
            assert error(getattr(got, name), expected.detach()) < 1e-5, name
        assert torch.equal(got.clipped, clipped.float())
        # The largest element is the target's, -coefficient (1 - p) scale: bf16 rounds it.
        assert error(mine, z.grad) < (1e-5 if dtype == torch.float32 else 2**-8)
        still = objective.weight_N == 0
        assert not mine[still].any()


@pytest.mark.usefixtures("isa")
@dtypes
def test_tokens_of_nan_are_nan_and_no_other(dtype, seed):
    logits, targets, scale = make_rows(seed, 131, dtype)
    logits[4, 7], logits[6, 9] = torch.nan, torch.inf
    objective = make_objective("clip with all", seed, torch.full((9,), -3.0))
    objective.weight_N[:] = 1
    for implementation in IMPLEMENTATIONS:
        mine, results = logits.clone(), torch.zeros(6, 9)
        implementation.policy_loss(mine, targets, scale, objective.checked(targets), results)
        spoilt = TokenResults(*results).loss.isnan()
        assert spoilt.nonzero()[:, 0].tolist() == [4, 6]
        assert torch.equal(mine.isnan().any(1), spoilt)


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("vocabulary", [1, 2, 7, 15, 16, 17, 63, 64, 65, 1000])
@pytest.mark.parametrize("level", [0.0, -300.0, 300.0])
def test_statistics_are_those_of_fp64(dtype, vocabulary, level, seed):
    logits, targets, scale = make_rows(seed, vocabulary, dtype, level)
    z = logits.double() * scale.double()[:, None]
    logp = z.log_softmax(1)
    for implementation in IMPLEMENTATIONS:
        statistics = implementation.statistics(logits, targets, scale)
        chosen = logp.gather(1, targets[:, None])[:, 0]
        # A scaled logit of 600 is rounded to steps of 6e-5.
        assert (statistics.logp() - chosen).abs().max() < 2e-4
        assert (statistics.entropy() + (logp.exp() * logp).sum(1)).abs().max() < 2e-4
        assert (statistics.shift_N - z.amax(1)).abs().max() < 2e-4


@pytest.mark.usefixtures("isa")
def test_every_exponential_is_that_of_fp64():
    """Beside a logit of 0, y alone makes the sum of y e^y."""
    y = -torch.linspace(1e-3, 87, 300_001)
    logits = torch.stack([torch.zeros_like(y), y], 1)
    statistics = CpuRows().statistics(
        logits, torch.zeros_like(y, dtype=torch.long), torch.ones_like(y)
    )
    expected = y.double() * y.double().exp()
    # 2e-7, and the product's rounding.
    assert (statistics.y_exp_N / expected - 1).abs().max() < 2.7e-7


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("scale", [1e-30, 1e20])
def test_extreme_temperatures_do_not_count_lanes_beyond_the_row(scale):
    logits, targets = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2])
    for implementation in IMPLEMENTATIONS:
        logp = implementation.statistics(logits, targets, torch.tensor([scale])).logp().item()
        assert logp == pytest.approx(0.0 if scale > 1 else -(torch.tensor(3.0).log().item()))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("vocabulary", [1, 7, 64, 65, 1000])
def test_a_narrower_gradient_goes_over_the_logits_it_is_of(vocabulary, seed):
    logits, targets, scale = make_rows(seed, vocabulary, torch.float32)
    objective = make_objective("clip with all", seed, torch.full((9,), -3.0)).checked(targets)
    apart, among = (torch.full((6, 9), torch.nan) for _ in range(2))
    wide = logits.clone()
    CpuRows().policy_loss(wide, targets, scale, objective, apart)
    narrow = over(logits, torch.bfloat16)
    CpuRows().policy_loss(logits, targets, scale, objective, among, narrow)
    assert torch.equal(apart, among)
    assert torch.equal(narrow, wide.bfloat16())


def test_the_kernel_writes_every_result(seed):
    logits, targets, scale = make_rows(seed, 131, torch.float32)
    poisoned = [torch.full((9,), torch.nan) for _ in range(4)]
    _kernels.statistics_rows(logits, targets, scale, *poisoned, 2)
    expected = astuple(CpuRows().statistics(logits, targets, scale))
    assert all(torch.equal(a, b) for a, b in zip(poisoned, expected, strict=True))
    assert not any(value.isnan().any() for value in poisoned)


def test_the_kernel_writes_to_no_copy():
    """A converted array would take the results with it."""
    logits, targets, good = torch.zeros(4, 4), torch.zeros(4, dtype=torch.int64), torch.ones(4)
    for wrong in (good.double(), torch.zeros(8)[::2]):
        with pytest.raises(TypeError):
            _kernels.statistics_rows(logits, targets, good, wrong, good, good, good, 1)
    for wrong in (torch.zeros(6, 4).double(), torch.zeros(4, 6).T):
        per_token = torch.zeros(7, 4)
        with pytest.raises(TypeError):
            _kernels.policy_loss_rows(
                logits, targets, good, per_token, wrong, logits, 0, 1.0, 1.0, 0.0, False, 1
            )


@pytest.mark.parametrize(
    ("message", "bad"),
    [
        ("a target lies outside the vocabulary", {"targets": torch.tensor([0, 1, 2, 7])}),
        ("a target lies outside the vocabulary", {"targets": torch.tensor([0, 1, 2, -1])}),
        ("one target per row", {"targets": torch.zeros(3, dtype=torch.int64)}),
        ("scale must be positive", {"scale": torch.tensor([1.0, 0.0, 1.0, 1.0])}),
        ("scale must be positive", {"scale": torch.full((4,), torch.nan)}),
        ("per-row arrays must have one element per row", {"scale": torch.ones(5)}),
        ("logits must be bfloat16, float16 or", {"logits": torch.zeros(4, 7).double()}),
        ("columns of logits must be contiguous", {"logits": torch.zeros(7, 4).T}),
        ("threads must be positive", {"threads": 0}),
    ],
)
def test_the_kernel_refuses_before_it_writes(message, bad):
    good = {"logits": torch.zeros(4, 7), "targets": torch.zeros(4, dtype=torch.int64)}
    results = {name: torch.full((4,), torch.nan) for name in ("shift", "exp", "y_exp", "target_y")}
    arguments = good | {"scale": torch.ones(4), "threads": 1} | results | bad
    with pytest.raises(ValueError, match=message):
        _kernels.statistics_rows(**arguments)
    assert all(value.isnan().all() for value in results.values())


@pytest.mark.parametrize(
    ("message", "bad"),
    [
        ("per_token must have shape", {"per_token": torch.zeros(6, 4)}),
        ("per_token must have shape", {"per_token": torch.zeros(7, 5)}),
        ("results must have shape", {"results": torch.zeros(6, 3)}),
        ("correction must be 0, 1 or 2", {"correction": 3}),
        ("d_logits must have the logits' shape", {"d_logits": torch.ones(4, 6)}),
        ("d_logits must have the logits' dtype", {"d_logits": torch.ones(4, 7).half()}),
    ],
)
def test_the_loss_refuses_before_it_writes(message, bad):
    logits, results = torch.ones(4, 7), torch.full((6, 4), torch.nan)
    good = {
        "logits": logits,
        "targets": torch.zeros(4, dtype=torch.int64),
        "scale": torch.ones(4),
        "per_token": torch.zeros(7, 4),
        "results": results,
        "d_logits": logits,
        "correction": 0,
    }
    options = {"dual": 1.0, "cap": 1.0, "kl_weight": 0.0, "has_reference": False, "threads": 1}
    with pytest.raises(ValueError, match=message):
        _kernels.policy_loss_rows(**(good | options | bad))
    assert results.isnan().all()
    assert logits.eq(1).all()


def test_missing_kernels_are_named(monkeypatch):
    monkeypatch.setattr(dispatch, "KERNELS_BUILT", False)
    with pytest.raises(UserError, match="pip install"):
        choose_rows("cpu", torch.device("cpu"))
    assert isinstance(choose_rows("auto", torch.device("cpu")), TorchRows)


def test_each_device_has_its_own_rows():
    assert isinstance(choose_rows("auto", torch.device("cpu")), CpuRows)
    assert isinstance(choose_rows("auto", torch.device("meta")), TorchRows)
    assert isinstance(choose_rows("torch", torch.device("cuda")), TorchRows)
    with pytest.raises(UserError, match="cpu does not work on cuda: use auto or torch"):
        choose_rows("cpu", torch.device("cuda"))
    with pytest.raises(UserError, match="triton does not work on cpu: use auto or torch"):
        choose_rows("triton", torch.device("cpu"))
    with pytest.raises(ValueError, match="must be auto, triton, cpu or torch, not mps"):
        choose_rows("mps", torch.device("cpu"))
