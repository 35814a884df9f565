"""Rows of logits: each build of the C++ kernel, the torch rows and fp64 on the same bits."""

from dataclasses import astuple

import pytest
import torch
from head_cases import dtypes, error, temperatures

from azr_fast.errors import UserError
from azr_fast.ops import rows


@pytest.fixture(params=["avx512bf16", "avx2", "portable"])
def isa(request, monkeypatch):
    """Each build of the kernel that this processor can run."""
    monkeypatch.setenv("AZR_ISA", request.param)
    try:
        assert rows._kernels.isa() == request.param
    except ValueError as refused:
        pytest.skip(str(refused))


def make_rows(seed, vocabulary, dtype, level=0.0, count=9):
    """Logits of standard deviation 3 around `level`, targets and a scale for each row."""
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(count, vocabulary, generator=generator) * 3 + level).to(dtype)
    targets = torch.randint(vocabulary, (count,), generator=generator)
    targets[-1] = vocabulary - 1
    return logits, targets, temperatures(seed, count).reciprocal()


@pytest.mark.usefixtures("isa")
@dtypes
def test_the_implementations_agree_on_the_same_logits(dtype, seed):
    """No products in between, so both see the same bits."""
    logits, targets, scale = make_rows(seed, 777, dtype)
    coefficient, results = logits[:, 0].float(), []
    for implementation in (rows.TorchRows(), rows.CpuRows()):
        mine, logp, entropy = logits.clone(), torch.full((9,), 7e7), torch.full((9,), 7e7)
        implementation.policy_loss(
            mine, targets, coefficient, coefficient.abs(), scale, logp, entropy
        )
        results.append((logp, entropy, mine))
    for a, b in zip(*results, strict=True):
        assert error(b, a.double()) < (2e-6 if dtype == torch.float32 or a.ndim == 1 else 5e-4)


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("vocabulary", [1, 2, 7, 15, 16, 17, 63, 64, 65, 1000])
@pytest.mark.parametrize("level", [0.0, -300.0, 300.0])
def test_statistics_are_those_of_fp64(dtype, vocabulary, level, seed):
    logits, targets, scale = make_rows(seed, vocabulary, dtype, level)
    z = logits.double() * scale.double()[:, None]
    logp = z.log_softmax(1)
    for implementation in (rows.TorchRows(), rows.CpuRows()):
        statistics = implementation.statistics(logits, targets, scale)
        chosen = logp.gather(1, targets[:, None])[:, 0]
        # A scaled logit of 600 is rounded to steps of 6e-5.
        assert (statistics.logp() - chosen).abs().max() < 2e-4
        assert (statistics.entropy() + (logp.exp() * logp).sum(1)).abs().max() < 2e-4
        assert (statistics.shift_N - z.amax(1)).abs().max() < 2e-4


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("scale", [1e-30, 1e20])
def test_extreme_temperatures_do_not_count_lanes_beyond_the_row(scale):
    logits, targets = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2])
    for implementation in (rows.TorchRows(), rows.CpuRows()):
        logp = implementation.statistics(logits, targets, torch.tensor([scale])).logp().item()
        assert logp == pytest.approx(0.0 if scale > 1 else -(torch.tensor(3.0).log().item()))


def test_the_kernel_writes_every_result(seed):
    logits, targets, scale = make_rows(seed, 131, torch.float32)
    poisoned = [torch.full((9,), torch.nan) for _ in range(4)]
    rows._kernels.statistics_rows(logits, targets, scale, *poisoned, 2)
    expected = astuple(rows.CpuRows().statistics(logits, targets, scale))
    assert all(torch.equal(a, b) for a, b in zip(poisoned, expected, strict=True))
    assert not any(value.isnan().any() for value in poisoned)


def test_the_kernel_writes_to_no_copy():
    """A converted array would take the results with it."""
    logits, targets, good = torch.zeros(4, 4), torch.zeros(4, dtype=torch.int64), torch.ones(4)
    for wrong in ((logits.T, good), (logits, good.double()), (logits, torch.zeros(8)[::2])):
        with pytest.raises(TypeError):
            rows._kernels.statistics_rows(wrong[0], targets, good, wrong[1], good, good, good, 1)
    with pytest.raises(TypeError):
        rows._kernels.policy_loss_rows(logits, targets, good, good, good, good, good.double(), 1)


@pytest.mark.parametrize(
    ("message", "bad"),
    [
        ("a target lies outside the vocabulary", {"targets": torch.tensor([0, 1, 2, 7])}),
        ("a target lies outside the vocabulary", {"targets": torch.tensor([0, 1, 2, -1])}),
        ("one target per row", {"targets": torch.zeros(3, dtype=torch.int64)}),
        ("scale must be positive", {"scale": torch.tensor([1.0, 0.0, 1.0, 1.0])}),
        ("scale must be positive", {"scale": torch.full((4,), torch.nan)}),
        ("per-row arrays must have one element per row", {"scale": torch.ones(5)}),
        ("logits must be bfloat16 or float32", {"logits": torch.zeros(4, 7).double()}),
        ("threads must be positive", {"threads": 0}),
    ],
)
def test_the_kernel_refuses_before_it_writes(message, bad):
    good = {"logits": torch.zeros(4, 7), "targets": torch.zeros(4, dtype=torch.int64)}
    results = {name: torch.full((4,), torch.nan) for name in ("shift", "exp", "y_exp", "target_y")}
    arguments = good | {"scale": torch.ones(4), "threads": 1} | results | bad
    with pytest.raises(ValueError, match=message):
        rows._kernels.statistics_rows(**arguments)
    assert all(value.isnan().all() for value in results.values())


def test_missing_kernels_are_named(monkeypatch):
    monkeypatch.setattr(rows, "_kernels", None)
    with pytest.raises(UserError, match="pip install"):
        rows.choose_rows("cpu", torch.device("cpu"))
    assert isinstance(rows.choose_rows("auto", torch.device("cpu")), rows.TorchRows)


def test_the_kernel_is_refused_for_other_devices():
    with pytest.raises(UserError, match=r"update\.loss to auto"):
        rows.choose_rows("cpu", torch.device("cuda"))
