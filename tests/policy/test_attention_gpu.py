"""FlexAttention on a GPU, compiled: results and gradients of random trees, in bf16 within rounding."""

import pytest
import torch
from trees import random_pack

from azr_fast.policy.attention_flex import FlexTree
from azr_fast.policy.attention_tiles import segment_attention

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


@pytest.mark.parametrize(("queries", "keys", "width"), [(9, 3, 64), (16, 2, 128), (4, 4, 80)])
@pytest.mark.parametrize("longest", [60, 400])
def test_results_and_gradients_are_those_of_the_tiles(queries, keys, width, longest):
    pack = random_pack(longest, longest)
    torch.manual_seed(0)
    given = [
        torch.randn(heads, pack.segments[-1].end, width).bfloat16().cuda().requires_grad_()
        for heads in (queries, keys, keys)
    ]
    exact = [head.detach().double().requires_grad_() for head in given]
    expected = segment_attention(*exact, pack.segments, width**-0.5)
    got = FlexTree(pack.segments, torch.device("cuda"))(*given, width**-0.5)
    direction = torch.randn_like(expected).bfloat16()
    wanted = torch.autograd.grad(expected, exact, direction.double())
    found = torch.autograd.grad(got, given, direction)
    for mine, theirs in zip((got, *found), (expected, *wanted), strict=True):
        error = (mine.double() - theirs).norm() / theirs.norm()
        assert error < 1e-2
