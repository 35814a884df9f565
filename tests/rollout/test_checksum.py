"""Checksums of weights: what they must see, and what they must not depend on."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from azr_fast.rollout.checksum import checksum

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


def random_weight(seed, *shape, dtype=torch.bfloat16):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    seed=st.integers(0, 2**32),
    rows=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    width=st.integers(1, 40),
)
def test_a_fused_tensor_has_the_sum_of_its_parts(dtype, seed, rows, width):
    parts = [random_weight(seed + i, n, width, dtype=dtype) for i, n in enumerate(rows)]
    fused = torch.cat([*parts, torch.zeros(3, width, dtype=dtype)])  # padding adds nothing
    assert checksum(fused) == sum(map(checksum, parts)) % 2**64
    vectors = [part.flatten() for part in parts]
    assert checksum(torch.cat(vectors)) == sum(map(checksum, vectors)) % 2**64


@pytest.mark.parametrize("shape", [(7,), (576,), (40, 36), (3, 5)])
@given(seed=st.integers(0, 2**32), data=st.data())
def test_the_smallest_change_of_one_element_shows(shape, seed, data):
    weight = random_weight(seed, *shape)
    at = data.draw(st.integers(0, weight.numel() - 1))
    changed = weight.clone()
    changed.view(-1).view(torch.int16)[at] ^= 1
    assert checksum(changed) != checksum(weight)


@given(seed=st.integers(0, 2**32), data=st.data())
def test_changes_that_cancel_in_a_plain_sum_show(seed, data):
    """A rounding step up in one place and down in another."""
    weight = random_weight(seed, 8, 32)
    up, down = data.draw(
        st.lists(st.integers(0, weight.numel() - 1), min_size=2, max_size=2, unique=True)
    )
    changed = weight.clone()
    bits = changed.view(-1).view(torch.int16)
    bits[up] += 1
    bits[down] -= 1
    if not torch.equal(changed, weight):
        assert checksum(changed) != checksum(weight)


def test_signs_count_and_layout_does_not():
    weight = random_weight(0, 16, 16)
    assert checksum(-weight) != checksum(weight)
    assert checksum(weight.T.contiguous().T) == checksum(weight)
    assert checksum(torch.empty(0, 16, dtype=torch.bfloat16)) == 0


def test_large_tensors_are_summed_whole():
    weight = random_weight(0, 700, 1024)  # several chunks
    assert checksum(weight) == sum(checksum(row[None]) for row in weight) % 2**64
