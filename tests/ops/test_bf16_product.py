"""Our own bf16 product against fp64 on the same numbers: shapes that no tile divides, both layouts."""

import subprocess
import sys

import pytest
import torch
from builds import use_isa
from head_cases import error

from azr_fast import _kernels

pytestmark = pytest.mark.skipif(
    not _kernels.has_bf16_product(), reason="this processor has no AVX-512-BF16"
)


@pytest.fixture(autouse=True, params=["amx", "avx512bf16"])
def build(request, monkeypatch):
    use_isa(request.param, monkeypatch)
    return request.param


SHAPES = [(1, 1, 1), (5, 50, 7), (16, 48, 32), (37, 131, 30), (49, 48, 17), (100, 1001, 72)]
SHAPES += [(9, 64, 40), (9, 112, 40)]  # tiles of fewer columns
SHAPES += [(500, 9000, 64), (20, 2110, 2101), (2110, 20, 2101)]  # several blocks, several passes
SHAPES += [(3, 60, 8200), (60, 3, 8191), (101, 390, 2311)]  # few results of long sums


def operand(generator, rows, depth, transposed):
    shape = (depth, rows) if transposed else (rows, depth)
    numbers = torch.randn(shape, generator=generator).bfloat16()
    return numbers.T if transposed else numbers


@pytest.mark.parametrize(("m", "n", "depth"), SHAPES)
@pytest.mark.parametrize("layout", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_against_fp64(generator, m, n, depth, layout):
    a, b = (
        operand(generator, *shape, transposed)
        for shape, transposed in zip(((m, depth), (n, depth)), layout, strict=True)
    )
    expected = a.double() @ b.double().T
    room = torch.full((m + 2, n + 5), torch.nan)
    c = room[1:-1, 2:-3]
    _kernels.bf16_product(a, b, c, False, 2)
    # Each of `depth` additions rounds; terms are of size 1, sums of the square root of depth.
    assert error(c, expected) < 1e-7 * depth**0.5
    once = c.clone()
    _kernels.bf16_product(a, b, c, True, 1)
    assert error(c, 2 * expected) < 1e-7 * depth**0.5
    assert room.isnan().sum() == room.numel() - c.numel()
    for threads in (1, 3, 4, 7):
        again = torch.full((m, n), torch.nan)
        _kernels.bf16_product(a, b, again, False, threads)
        assert torch.equal(again, once)


def test_rows_that_begin_anywhere(generator):
    """Two bytes after an aligned address, at odd distances, in the middle of a buffer."""
    a = torch.randn(9, 77, generator=generator).bfloat16()[1:8, 3:70]
    b = torch.randn(70, 81, generator=generator).bfloat16()[1:68, 1:64].T
    c = torch.full((7, 63), torch.nan)
    _kernels.bf16_product(a, b, c, False, 2)
    assert error(c, a.double() @ b.double().T) < 1e-6


def test_what_lies_beyond_an_operand_is_not_read_into_the_sums(generator):
    room = torch.full((20, 40), torch.nan).bfloat16()
    a = room[:7, :33].normal_(generator=generator)
    for b in (room[7:12, :33].normal_(generator=generator), room[12:20, :33][:5].fill_(1.0)):
        c = torch.full((7, 5), torch.nan)
        _kernels.bf16_product(a, b, c, False, 1)
        assert error(c, a.double() @ b.double().T) < 1e-6


def test_torch_and_ours_by_turns(generator):
    """Each sets up the processor's tile registers for itself."""
    a = torch.randn(64, 96, generator=generator).bfloat16()
    expected, c = a.double() @ a.double().T, torch.empty(64, 64)
    for _ in range(3):
        assert error(a @ a.T, expected) < 1e-2
        _kernels.bf16_product(a, a, c.fill_(torch.nan), False, 2)
        assert error(c, expected) < 1e-6


@pytest.mark.parametrize("add", [False, True])
def test_empty_sums(add):
    c = torch.ones(3, 4)
    _kernels.bf16_product(*(torch.zeros(n, 0).bfloat16() for n in (3, 4)), c, add, 1)
    assert c.eq(1.0 if add else 0.0).all()
    nothing = torch.zeros(0, 4)
    _kernels.bf16_product(
        torch.zeros(0, 8).bfloat16(), torch.zeros(4, 8).bfloat16(), nothing, add, 1
    )


GOOD = {"a": torch.zeros(3, 8).bfloat16(), "b": torch.zeros(4, 8).bfloat16()}
BAD = {
    "operands must be bfloat16": {"a": torch.zeros(3, 8)},
    "operands must be contiguous one way": {"b": torch.zeros(8, 16).bfloat16()[::2, ::2]},
    "operands must have the same depth": {"b": torch.zeros(4, 9).bfloat16()},
    "c must have shape": {"c": torch.ones(4, 3)},
    "columns of c must be contiguous": {"c": torch.ones(4, 3).T},
    "threads must be positive": {"threads": 0},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused(message):
    arguments = GOOD | {"c": torch.ones(3, 4), "add": False, "threads": 1} | BAD[message]
    with pytest.raises(ValueError, match=message):
        _kernels.bf16_product(**arguments)
    assert arguments["c"].eq(1).all()


@pytest.mark.parametrize("isa", ["avx2", "portable"])
def test_other_builds_have_none(isa, monkeypatch):
    monkeypatch.setenv("AZR_ISA", isa)
    assert not _kernels.has_bf16_product()
    with pytest.raises(ValueError, match="no bf16 dot product: use torch"):
        _kernels.bf16_product(**GOOD, c=torch.ones(3, 4), add=False, threads=1)


SMALL_SIGNAL_STACK = """
import ctypes

class SignalStack(ctypes.Structure):  # sigaltstack(2)
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

room = ctypes.create_string_buffer(8192)
stack = SignalStack(ctypes.addressof(room), 0, len(room))
assert ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) == 0

from azr_fast import _kernels
print(_kernels.isa())
"""


def test_without_the_kernels_leave_to_use_amx(build, monkeypatch):
    """Linux refuses tile registers to a process whose signal stack could not hold them."""
    if build != "amx":
        pytest.skip("asks for no leave")
    monkeypatch.delenv("AZR_ISA")
    command = [sys.executable, "-c", SMALL_SIGNAL_STACK]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert found.stdout.strip() == "avx512bf16"
