"""Log-probabilities from given logits against fp64 autograd: the torch rows, the C++ kernels and the
Triton kernels, interpreted, on the same cases; every output is full of nan before the call."""

import subprocess
import sys

import pytest
import torch
from builds import ISAS, use_isa

from azr_fast.ops.selective_logprob import CpuRows, TorchRows, choose_rows, selective_logprob

IGNORED = -100
KERNEL = "azr_fast.triton_kernels.selective_logprob"

# Bounds on relative Frobenius errors, see azr_fast.ops.selective_logprob. Gradients are rounded to
# the logits' dtype: the interpreter cuts bf16 off where a GPU rounds (test_triton_guards.py).
LOGP, ENTROPY = 2e-5, 1e-4
GRAD = {torch.float32: 1e-5, torch.bfloat16: 1e-5 + 2**-7, torch.float16: 1e-5 + 2**-11}
ROUNDED = GRAD | {torch.bfloat16: 1e-5 + 2**-8}
dtypes = pytest.mark.parametrize("dtype", GRAD, ids=str)


@pytest.fixture(params=["torch", *ISAS, "triton, interpreted"])
def call(request, monkeypatch):
    """Calls `forward` or `backward` of an implementation: arguments in, arguments out."""
    if request.param in ISAS:
        use_isa(request.param, monkeypatch)
    if request.param != "triton, interpreted":
        rows = TorchRows() if request.param == "torch" else CpuRows()

        def here(function, *arguments):
            getattr(rows, function)(*arguments)
            return arguments

        return here
    interpreter = request.getfixturevalue("interpreter")
    return lambda function, *arguments: interpreter(f"{KERNEL}:{function}", *arguments)[1]


def poisoned(*shape, dtype=torch.float32):
    return torch.full(shape, torch.nan, dtype=dtype)


def random_case(generator, tokens, vocabulary, dtype=torch.float32, scale=3.0):
    """Logits, targets and what comes from above: d log p and d entropy."""
    logits = (torch.randn(tokens, vocabulary, generator=generator) * scale).to(dtype)
    targets = torch.randint(vocabulary, (tokens,), generator=generator)
    d_logp, d_entropy = torch.rand(2, tokens, generator=generator) + 0.5
    return logits, targets, d_logp, -d_entropy


def run(call, logits, targets, d_logp, d_entropy, temperature=1.0):
    """Log-probabilities, entropies and d logits."""
    temperature = torch.as_tensor(temperature).expand(targets.shape)
    given = logits, targets, temperature, IGNORED
    *_, logp, entropy, top, log_sum = call(
        "forward", *given, *(poisoned(*targets.shape) for _ in range(4))
    )
    d_logits = poisoned(*logits.shape, dtype=logits.dtype)
    *_, d_logits = call("backward", *given, entropy, top, log_sum, d_logp, d_entropy, d_logits)
    return logp, entropy, d_logits


def oracle(logits, targets, d_logp, d_entropy, temperature=1.0):
    x = logits.double().clamp_min(-1e9).requires_grad_()  # autograd has no gradient at -inf
    logp = (x / torch.as_tensor(temperature).double().reshape(-1, 1)).log_softmax(1)
    kept = targets != IGNORED
    chosen = logp.gather(1, targets.where(kept, 0)[:, None].long())[:, 0]
    entropy = -(logp.exp() * logp).sum(1)
    chosen, entropy = (torch.where(kept, value, 0.0) for value in (chosen, entropy))
    (d_logp.double() @ chosen + d_entropy.double() @ entropy).backward()
    return chosen.detach(), entropy.detach(), x.grad


def error(got, expected):
    return ((got.double() - expected).norm() / expected.norm().clamp_min(1e-30)).item()


def assert_close(got, expected, dtype=torch.float32, grad=GRAD):
    for value, reference, bound in zip(got, expected, (LOGP, ENTROPY, grad[dtype]), strict=True):
        assert error(value, reference) <= bound


@dtypes
@pytest.mark.parametrize(
    ("tokens", "vocabulary"),
    [(127, 7), (127, 1000), (1, 1000), (1, 1), (5, 1024), (3, 8193), (3, 49152), (3, 50257)],
)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_against_fp64_autograd(call, generator, dtype, tokens, vocabulary, temperature):
    case = random_case(generator, tokens, vocabulary, dtype)
    assert_close(run(call, *case, temperature), oracle(*case, temperature), dtype)


@pytest.mark.parametrize("level", [-300.0, 300.0, -2e4, 2e4])
def test_logits_far_from_zero(call, generator, level):
    logits, *rest = random_case(generator, 5, 1000)
    case = logits + level, *rest
    assert (case[0] < -200).all() or (case[0] > 200).all()
    assert_close(run(call, *case), oracle(*case))


@dtypes
def test_a_certain_token(call, dtype):
    """One logit far above all others: log p 0 or very low, entropy 0, no nan."""
    logits = torch.zeros(2, 1000, dtype=dtype)
    logits[:, 3] = 4096.0
    logp, entropy, d_logits = run(call, logits, torch.tensor([3, 4]), torch.ones(2), torch.ones(2))
    assert logp.tolist() == [0.0, -4096.0]
    assert entropy.tolist() == [0.0, 0.0]
    assert d_logits[0].tolist() == [0.0] * 1000
    assert d_logits[1, :6].tolist() == [0.0, 0.0, 0.0, -1.0, 1.0, 0.0]


@pytest.mark.parametrize("vocabulary", [7, 1000, 50257])
@pytest.mark.parametrize("ids", [torch.int32, torch.int64], ids=str)
def test_targets_in_the_first_and_last_column(call, generator, vocabulary, ids):
    case = list(random_case(generator, 4, vocabulary))
    case[1] = torch.tensor([0, vocabulary - 1, vocabulary - 1, 0], dtype=ids)
    case[0][:2, case[1][:2].long()] += 20.0  # two of them far above all others
    assert_close(run(call, *case), oracle(*case))


@dtypes
@pytest.mark.parametrize("vocabulary", [7, 3001])
def test_ignored_rows_are_not_read(call, generator, dtype, vocabulary):
    case = random_case(generator, 6, vocabulary, dtype)
    case[1][[0, 3, 5]] = IGNORED
    expected = oracle(*case)
    case[0][[0, 3, 5]] = torch.nan
    got = run(call, *case)
    assert_close(got, expected, dtype)
    for value in got:
        assert not value[[0, 3, 5]].any()


def test_temperatures_per_token(call, generator):
    case = random_case(generator, 9, 1500)
    temperature = torch.rand(18, generator=generator)[::2] * 3 + 0.05
    assert_close(run(call, *case, temperature), oracle(*case, temperature))


@pytest.mark.parametrize("vocabulary", [7, 1503])
def test_strided_logits(call, generator, vocabulary):
    """Rows of a wider buffer, every other row, and a row that stands for all."""
    logits, *rest = random_case(generator, 10, vocabulary + 5)
    for view in (logits[:5, 2:-3], logits[::2, 5:], logits[:1, :-5].expand(5, -1)):
        case = view, *(value[:5] for value in rest)
        case[1].remainder_(vocabulary)
        assert_close(run(call, *case), oracle(*case))


def test_logits_of_minus_infinity(call, generator):
    """Columns that are masked out, whole first tiles among them."""
    case = random_case(generator, 3, 3001)
    case[0][:, 1::2] = case[0][:2, :1500] = -torch.inf
    case[1][:] = 3000
    got = run(call, *case)
    assert_close(got, oracle(*case))
    assert not got[2][:, 1::2].any()


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_broken_logits_give_nan_and_spoil_no_other_row(call, generator, broken):
    case = random_case(generator, 3, 1500)
    case[0][1, 1200] = broken
    for value, clean in zip(run(call, *case), oracle(*case), strict=True):
        assert value[1].isnan().any()
        assert error(value[[0, 2]], clean[[0, 2]]) <= LOGP
    case[0][1] = -torch.inf
    assert all(value[1].isnan().all() for value in run(call, *case))


@dtypes
def test_two_runs_are_bitwise_equal(call, generator, dtype):
    case = random_case(generator, 7, 1503, dtype)
    for first, second in zip(run(call, *case), run(call, *case), strict=True):
        assert torch.equal(first, second)


def test_the_number_of_threads_changes_no_bit(isa, generator, monkeypatch):
    case, results = random_case(generator, 70, 1003), []

    def call(function, *arguments):
        getattr(CpuRows(), function)(*arguments)
        return arguments

    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        results.append(run(call, *case))
    for result in results[1:]:
        assert all(map(torch.equal, result, results[0]))


@dtypes
@pytest.mark.parametrize("tokens", [0, 1, 127])
def test_the_operation_is_differentiable(generator, dtype, tokens):
    logits, targets, d_logp, d_entropy = random_case(generator, tokens, 1000, dtype)
    targets[1::3] = IGNORED
    expected = oracle(logits, targets, d_logp, d_entropy, 0.5)
    logits.requires_grad_()
    logp, entropy = selective_logprob(logits, targets, temperature=0.5)
    torch.autograd.backward([logp, entropy], [d_logp, d_entropy])
    assert logits.grad.dtype == dtype
    assert_close((logp.detach(), entropy.detach(), logits.grad), expected, dtype, ROUNDED)


@pytest.mark.parametrize("used", [0, 1], ids=["only log p", "only entropy"])
def test_one_of_the_results_may_be_left_unused(generator, used):
    logits, targets, *upstream = random_case(generator, 5, 100)
    upstream[1 - used] = torch.zeros(5)
    logits.requires_grad_()
    result = selective_logprob(logits, targets)[used]
    (result * upstream[used]).sum().backward()
    assert error(logits.grad, oracle(logits.detach(), targets, *upstream)[2]) <= 1e-5


def test_columns_that_are_not_contiguous_are_copied(generator):
    logits, targets, *upstream = random_case(generator, 5, 200)
    for view in (logits[:, ::2], logits[:, :100].T.contiguous().T):
        leaf = view.detach().requires_grad_()
        targets.remainder_(100)
        logp, entropy = selective_logprob(leaf, targets[:, None].expand(-1, 2)[:, 1])
        torch.autograd.backward([logp, entropy], upstream)
        expected = oracle(view, targets, *upstream)
        assert_close((logp.detach(), entropy.detach(), leaf.grad), expected)


def test_another_ignore_index(generator):
    logits, *_ = random_case(generator, 3, 10)
    logp, entropy = selective_logprob(logits, torch.tensor([2, 3, 2]), ignore_index=2)
    assert [value != 0 for value in logp.tolist()] == [False, True, False]
    assert [value != 0 for value in entropy.tolist()] == [False, True, False]


def test_a_gpu_gets_the_kernel_and_a_cpu_loads_no_triton():
    assert choose_rows("auto", torch.device("cuda")).__name__ == KERNEL
    code = (
        "import sys, torch\n"
        "from azr_fast.ops.selective_logprob import selective_logprob\n"
        "from azr_fast.ops.group_advantage import group_advantage\n"
        "selective_logprob(torch.zeros(2, 3), torch.tensor([0, 1]))\n"
        "ones = torch.ones(2, dtype=torch.int64)\n"
        "group_advantage(ones.float(), ones, ones, estimator='grpo')\n"
        "sys.exit('triton' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
