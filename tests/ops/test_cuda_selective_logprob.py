"""The CUDA C++ kernel without a GPU: its source runs in emulation against fp64, and nvcc, where
there is one, compiles it for Hopper."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from far_rows import far_apart

from .sm90 import CUOBJDUMP

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "csrc" / "cuda" / "selective_logprob.cu"
EMULATION = Path(__file__).parent / "cuda_emulation"
DTYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
IGNORED = -100
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """logits, targets, scale → log p, entropy, top, log_sum; their memory is full of nan before."""
    library = tmp_path_factory.mktemp("cuda") / "emulated.so"
    command = ["c++", "-std=c++20", "-O1", "-shared", "-fPIC", "-pthread", "-I", EMULATION]
    command += ["-I", ROOT / "csrc", EMULATION / "selective_logprob.cpp", "-o", library]
    subprocess.run(command, check=True)
    function = ctypes.CDLL(library).selective_logprob

    def run(logits, targets, scale=None):
        scale = torch.ones(targets.shape) if scale is None else scale
        outputs = torch.full((4, targets.numel()), torch.nan)
        function(
            DTYPES[logits.dtype],
            ctypes.c_void_p(logits.data_ptr()),
            *map(ctypes.c_int64, (logits.stride(0), *logits.shape)),
            *(ctypes.c_void_p(t.data_ptr()) for t in (targets, scale)),
            ctypes.c_int64(IGNORED),
            ctypes.c_void_p(outputs.data_ptr()),
        )
        return outputs

    return run


def random_case(generator, rows, vocabulary, dtype=torch.float32):
    logits = (torch.randn(rows, vocabulary, generator=generator) * 3).to(dtype)
    return logits, torch.randint(vocabulary, (rows,), generator=generator)


def oracle(logits, targets, scale=None):
    x = logits.double()
    z = x if scale is None else x * scale.double()[:, None]
    logp = z.log_softmax(1)
    entropy = -torch.where(logp > -torch.inf, logp.exp() * logp, 0.0).sum(1)
    log_sum = z.logsumexp(1) - z.amax(1)
    return logp.gather(1, targets[:, None])[:, 0], entropy, x.amax(1), log_sum


def assert_close(got, expected):
    for value, reference, bound in zip(got, expected, (2e-5, 1e-4, 0.0, 2e-5), strict=True):
        error = (value.double() - reference).norm() / reference.norm().clamp_min(1e-30)
        assert error.item() <= bound


@dtypes
@pytest.mark.parametrize(
    "vocabulary", [1, 2, 7, 9, 255, 1000, 2049, 8192, 8205, 32768, 49152, 50257]
)
def test_against_fp64(call, generator, dtype, vocabulary):
    case = random_case(generator, 3, vocabulary, dtype)  # odd widths: rows begin at odd places
    case[1][-1] = vocabulary - 1
    assert_close(call(*case), oracle(*case))


@pytest.mark.parametrize("level", [-300.0, 300.0, 2e4])
def test_logits_far_from_zero(call, generator, level):
    logits, targets = random_case(generator, 3, 1000)
    assert_close(call(logits + level, targets), oracle(logits + level, targets))


def test_temperatures_and_strides(call, generator):
    logits, targets = random_case(generator, 5, 1013)
    scale = torch.rand(5, generator=generator) * 3 + 0.1
    targets.remainder_(1000)
    for view in (logits[:, 3:1003], logits[:1, 5:1005].expand(5, -1)):
        assert_close(call(view, targets, scale), oracle(view, targets, scale))


def test_rows_beyond_32_bits(call, generator):
    logits, targets = random_case(generator, 3, 1000)
    assert torch.equal(call(far_apart(logits), targets), call(logits, targets))


def test_ignored_rows_are_not_read(call, generator):
    logits, targets = random_case(generator, 4, 1000)
    expected = oracle(logits, targets)
    targets[[0, 2]] = IGNORED
    logits[[0, 2]] = torch.nan
    got = call(logits, targets)
    assert not got[:, [0, 2]].any()
    assert_close(got[:, [1, 3]], [value[[1, 3]] for value in expected])


def test_logits_that_are_not_finite(call, generator):
    logits, targets = random_case(generator, 5, 9000)
    logits[0, 1::2], targets[0] = -torch.inf, 500
    for row, broken in ((1, torch.nan), (2, torch.inf)):
        logits[row, 700] = broken
    logits[3] = -torch.inf
    got, sound = call(logits, targets), [0, 4]
    assert got[:2, [1, 2, 3]].isnan().all()
    assert_close(got[:, sound], oracle(logits[sound], targets[sound]))


def test_two_runs_are_bitwise_equal(call, generator):
    case = random_case(generator, 3, 20011, torch.bfloat16)
    assert torch.equal(call(*case), call(*case))


def test_it_compiles_for_hopper_without_spills(tmp_path):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc on this machine")
    cubin = tmp_path / "kernel.cubin"
    command = [nvcc, "-std=c++20", "-O3", "-ftz=true", "-I", ROOT / "csrc", "--resource-usage"]
    command += ["-gencode=arch=compute_90a,code=sm_90a", "-cubin", "-o", cubin, SOURCE]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert "warning" not in said
    assert len(re.findall("0 bytes stack frame, 0 bytes spill stores", said)) == len(DTYPES)
    registers = [int(n) for n in re.findall(r"Used (\d+) registers", said)]
    assert len(registers) == len(DTYPES)
    assert max(registers) <= 64  # four blocks of 256 threads on a multiprocessor
    sass = subprocess.run([CUOBJDUMP, "-sass", cubin], check=True, capture_output=True, text=True)
    kernels = sass.stdout.split("Function :")[1:]
    assert len(kernels) == len(DTYPES)
    for kernel in kernels:
        assert len(re.findall(r"LDG\.E\S*\.128", kernel)) >= 4
