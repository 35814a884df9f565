"""The one-pass head against fp64 autograd on the same inputs, on every implementation."""

import pytest
import torch

from azr_fast.errors import UserError
from azr_fast.ops import rows
from azr_fast.ops.linear_policy_loss import linear_logprob, linear_policy_loss

IMPLEMENTATIONS = ["torch", "cpu"]
implementations = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)

# Named bounds on relative Frobenius errors, see azr_fast.ops.linear_policy_loss.
LOGP = {torch.float32: 2e-5, torch.bfloat16: 3e-2}
GRAD = {torch.float32: 2e-5, torch.bfloat16: 1e-2}


def inputs(tokens, width, vocabulary, dtype=torch.float32, scale=3.0, seed=0):
    """Hidden states and weight whose logits have standard deviation `scale`."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    hidden = (normal(tokens, width) * scale / width**0.5).to(dtype)
    weight = normal(vocabulary, width).to(dtype)
    targets = torch.randint(vocabulary, (tokens,), generator=generator)
    return hidden, weight, targets, normal(tokens), normal(tokens).abs() * 0.1


def oracle(hidden, weight, targets, coefficient, entropy_weight, temperature=1.0):
    hidden, weight = (t.double().requires_grad_() for t in (hidden, weight))
    logp = (hidden @ weight.T / temperature).log_softmax(1)
    chosen = logp.gather(1, targets[:, None])[:, 0]
    entropy = -(logp.exp() * logp).sum(1)
    loss = -(coefficient.double() * chosen + entropy_weight.double() * entropy).sum()
    loss.backward()
    return chosen.detach(), entropy.detach(), hidden.grad, weight.grad


def run(hidden, weight, targets, coefficient, entropy_weight, **options):
    d_weight = torch.zeros(weight.shape)
    result = linear_policy_loss(
        hidden, weight, targets, coefficient, entropy_weight, d_weight, **options
    )
    return result.logp_N, result.entropy_N, result.d_hidden_NH, d_weight


def error(got, expected):
    return ((got.double() - expected).norm() / expected.norm().clamp_min(1e-30)).item()


def assert_close(got, expected, dtype):
    for value, reference, bound in zip(
        got, expected, (LOGP[dtype], LOGP[dtype], GRAD[dtype], GRAD[dtype]), strict=True
    ):
        assert error(value, reference) <= bound


@implementations
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("vocabulary", [2, 7, 64, 1000, 4097])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_against_fp64_autograd(implementation, dtype, vocabulary, temperature):
    case = inputs(37, 24, vocabulary, dtype)
    got = run(*case, implementation=implementation, temperature=temperature, chunk=16)
    expected = oracle(*case, temperature)
    assert_close(got, expected, dtype)
    logp = linear_logprob(
        *case[:3], implementation=implementation, temperature=temperature, chunk=16
    )
    assert error(logp, expected[0]) <= LOGP[dtype]


@implementations
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("level", [-300.0, 300.0])
def test_logits_far_from_zero(implementation, dtype, level):
    hidden, weight, targets, coefficient, entropy_weight = inputs(5, 8, 100, dtype)
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
def test_targets_in_the_first_and_last_column(implementation):
    hidden, weight, _, coefficient, entropy_weight = inputs(4, 16, 131)
    case = hidden, weight, torch.tensor([0, 130, 130, 0]), coefficient, entropy_weight
    assert_close(run(*case, implementation=implementation), oracle(*case), torch.float32)


@implementations
@pytest.mark.parametrize("tokens", [0, 1])
def test_few_tokens(implementation, tokens):
    case = inputs(tokens, 16, 131)
    got = run(*case, implementation=implementation)
    assert [tuple(value.shape) for value in got] == [(tokens,), (tokens,), (tokens, 16), (131, 16)]
    assert_close(got, oracle(*case), torch.float32)
    assert linear_logprob(*case[:3], implementation=implementation).shape == (tokens,)


@implementations
def test_tokens_without_weight_are_not_computed(implementation):
    hidden, weight, targets, coefficient, entropy_weight = inputs(6, 16, 131)
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
    nothing = run(hidden, weight, targets, coefficient * 0, entropy_weight * 0)
    assert nothing[0].isnan().all()
    assert not nothing[2].any()
    assert not nothing[3].any()


@implementations
def test_the_weight_gradient_is_added(implementation):
    case = inputs(5, 8, 33)
    d_weight = torch.full((33, 8), 2.0)
    linear_policy_loss(*case, d_weight, implementation=implementation)
    assert torch.allclose(d_weight - 2.0, run(*case, implementation=implementation)[3], atol=1e-5)


@implementations
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_two_runs_are_bitwise_equal(implementation, dtype):
    case = inputs(70, 24, 1003, dtype)
    first, second = (run(*case, implementation=implementation, chunk=32) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(params=["avx512bf16", "avx2", "portable"])
def isa(request, monkeypatch):
    """Each build of the kernel that this processor can run."""
    monkeypatch.setenv("AZR_ISA", request.param)
    try:
        assert rows._kernels.isa() == request.param
    except ValueError as refused:
        pytest.skip(str(refused))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_implementations_agree_on_the_same_logits(dtype, temperature):
    """Row by row: no products in between, so both see the same bits."""
    torch.manual_seed(0)
    logits = (torch.randn(9, 777) * 3).to(dtype)
    targets, coefficient = torch.randint(777, (9,)), torch.randn(9)
    results = []
    for implementation in (rows.TorchRows(), rows.CpuRows()):
        mine, logp, entropy = logits.clone(), torch.full((9,), 7e7), torch.full((9,), 7e7)
        implementation.policy_loss(
            mine, targets, coefficient, coefficient.abs(), 1 / temperature, logp, entropy
        )
        results.append((logp, entropy, mine))
    for a, b in zip(*results, strict=True):
        assert error(b, a.double()) < (2e-6 if dtype == torch.float32 or a.ndim == 1 else 5e-4)


def test_the_kernel_writes_to_no_copy():
    """A converted array would take the results with it."""
    logits, targets, logp = torch.zeros(4, 4), torch.zeros(4, dtype=torch.int64), torch.zeros(4)
    for wrong in ((logits.T, logp), (logits, logp.double()), (logits, torch.zeros(8)[::2])):
        with pytest.raises(TypeError):
            rows._kernels.logprob_rows(wrong[0], targets, 1.0, wrong[1], 1)
    with pytest.raises(TypeError):
        rows._kernels.policy_loss_rows(
            logits, targets, logp, logp, 1.0, logp, torch.zeros(4).double(), 1
        )


BAD = {
    "targets must lie in [0, 33), not 0 … 33": {"targets": torch.tensor([0, 1, 2, 33])},
    "targets must lie in [0, 33), not -1 … 2": {"targets": torch.tensor([0, 1, 2, -1])},
    "targets must be int64": {"targets": torch.zeros(4, dtype=torch.int32)},
    "one target per hidden state": {"targets": torch.zeros(5, dtype=torch.int64)},
    "hidden must be bfloat16 or float32": {
        "hidden": torch.zeros(4, 8).double(),
        "weight": torch.zeros(33, 8).double(),
    },
    "hidden and weight differ in dtype": {"hidden": torch.zeros(4, 8).bfloat16()},
    "hidden and weight differ in width": {"hidden": torch.zeros(4, 9)},
    "hidden and weight must have two dimensions": {"hidden": torch.zeros(4)},
    "coefficient holds nan or inf: check the advantages": {
        "coefficient": torch.tensor([0.0, 1.0, torch.nan, 1.0])
    },
    "entropy_weight holds nan or inf": {"entropy_weight": torch.full((4,), torch.inf)},
    "one coefficient per target": {"coefficient": torch.zeros(3)},
    "coefficient must be float32": {"coefficient": torch.zeros(4).double()},
    "d_weight must be float32": {"d_weight": torch.zeros(33, 8).bfloat16()},
    "d_weight must have the shape of weight": {"d_weight": torch.zeros(8, 33)},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused_by_name(message):
    names = ("hidden", "weight", "targets", "coefficient", "entropy_weight")
    arguments = dict(zip(names, inputs(4, 8, 33), strict=True)) | {"d_weight": torch.zeros(33, 8)}
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the text is compared in full below
        linear_policy_loss(*(arguments | BAD[message]).values())
    assert message in str(refused.value)


def test_missing_kernels_are_named(monkeypatch):
    monkeypatch.setattr(rows, "_kernels", None)
    with pytest.raises(UserError, match="pip install"):
        rows.choose_rows("cpu", torch.device("cpu"))
    assert isinstance(rows.choose_rows("auto", torch.device("cpu")), rows.TorchRows)


def test_the_kernel_is_refused_for_other_devices():
    with pytest.raises(UserError, match=r"update\.loss to auto"):
        rows.choose_rows("cpu", torch.device("cuda"))
