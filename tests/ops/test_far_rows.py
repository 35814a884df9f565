"""More logits than 32 bits count: rows that begin at element 2^31 give what they give anywhere."""

import far_rows
import pytest
import torch

from azr_fast.ops import rows
from azr_fast.ops.rows_cpu import CpuRows
from azr_fast.ops.rows_triton import TritonRows
from azr_fast.ops.selective_logprob import CpuRows as SelectingCpuRows
from azr_fast.ops.selective_logprob import TorchRows as SelectingTorchRows

dtypes = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)


@pytest.fixture
def case(generator):
    def make(dtype):
        # A multiple of 16 words: near rows are as aligned as far ones.
        logits = (torch.randn(3, 1008, generator=generator) * 3).to(dtype)
        return logits, torch.randint(1008, (3,), generator=generator)

    return make


def assert_same(far, near):
    for got, expected in zip(far, near, strict=True):
        assert not expected.isnan().any()
        assert torch.equal(got, expected)


@dtypes
@pytest.mark.parametrize("kind", [rows.TorchRows, CpuRows, TritonRows])
def test_loss_and_statistics(interpreter, case, generator, kind, dtype):
    arguments = kind(), *case(dtype), torch.rand(7, 3, generator=generator)
    if kind is TritonRows:
        far, near = (
            interpreter("far_rows:loss_rows", *arguments, far=far)[0] for far in (True, False)
        )
    else:
        far, near = (far_rows.loss_rows(*arguments, far=far) for far in (True, False))
    assert_same(far, near)


@dtypes
@pytest.mark.parametrize("kind", [SelectingTorchRows, SelectingCpuRows])
def test_given_logits(case, kind, dtype):
    arguments = kind(), *case(dtype)
    assert_same(*(far_rows.selective_rows(*arguments, far=far) for far in (True, False)))


@dtypes
def test_given_logits_by_the_triton_kernel(interpreter, case, dtype):
    place, arguments = "far_rows:selective_rows_by_triton", case(dtype)
    assert_same(*(interpreter(place, *arguments, far=far)[0] for far in (True, False)))
