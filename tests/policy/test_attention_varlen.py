"""The flash kernel for flat packs: what it is called with. It runs on a GPU alone."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from azr_fast.policy.attention import flat_or_flex
from azr_fast.policy.attention_flex import FlexTree
from azr_fast.policy.attention_tiles import segment_attention
from azr_fast.policy.attention_varlen import FlatPack, has_varlen, varlen_kernel
from azr_fast.policy.packing import Segment

FLAT = (Segment(0, 5, ()), Segment(5, 9, ((0, 5),)), Segment(9, 30, ()))
BRANCHED = (Segment(0, 5, ()), Segment(5, 9, ((0, 5),)), Segment(9, 30, ((0, 5),)))
CPU = torch.device("cpu")
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


def test_flat_packs_go_to_the_flash_kernel_and_trees_to_flex():
    assert isinstance(flat_or_flex(FLAT, CPU), FlatPack)
    assert isinstance(flat_or_flex(BRANCHED, CPU), FlexTree)


def test_a_cpu_has_no_flash_kernel():
    assert not has_varlen(CPU, torch.bfloat16, 64)


def test_torch_takes_what_the_kernel_is_called_with():
    """Under fake tensors torch checks arguments and shapes as on a GPU, and computes nothing."""
    assert varlen_kernel() is not None
    with FakeTensorMode():
        query, key, value = (
            torch.empty(heads, 30, 64, dtype=torch.bfloat16, device="cuda") for heads in (8, 2, 2)
        )
        output = FlatPack([0, 9, 30], torch.device("cuda"))(query, key, value, 0.125)
    assert output.shape == (30, 8, 64)
    assert output.dtype == torch.bfloat16


@on_gpu
@pytest.mark.parametrize("segments", [FLAT, BRANCHED])
def test_results_and_gradients_on_a_gpu_are_those_of_the_tiles(segments):
    torch.manual_seed(0)
    exact = [torch.randn(n, 30, 64, dtype=torch.float64, requires_grad=True) for n in (8, 2, 2)]
    rounded = [t.detach().bfloat16().cuda().requires_grad_() for t in exact]
    exact = [t.detach().double().cpu().requires_grad_() for t in rounded]
    expected = segment_attention(*exact, segments, 0.125)
    got = flat_or_flex(segments, torch.device("cuda"))(*rounded, 0.125)
    direction = torch.randn(expected.shape, dtype=torch.float64).bfloat16()
    wanted = torch.autograd.grad(expected, exact, direction.double())
    found = torch.autograd.grad(got, rounded, direction.cuda())
    for mine, theirs in zip((got, *found), (expected, *wanted), strict=True):
        error = (mine.cpu().double() - theirs).norm() / theirs.norm()
        assert error < 1e-2
