"""One number a token says who sees whom in a pack."""

import pytest
import torch
from trees import dense_mask, random_pack

from azr_fast.policy.attention_tree import blocks, last_seers, padded, sequence_starts
from azr_fast.policy.packing import Segment


@pytest.mark.parametrize("tree", range(40))
def test_the_last_seer_of_each_token_is_the_dense_mask(tree, seed):
    pack = random_pack(seed + tree)
    last_T = last_seers(pack.segments)
    token_T = torch.arange(len(last_T))
    sees = (token_T[None] <= token_T[:, None]) & (token_T[:, None] < last_T[None])
    assert torch.equal(sees, dense_mask(pack.segments))


@pytest.mark.parametrize("tree", range(40))
def test_blocks_are_those_of_the_dense_mask(tree, seed):
    pack = random_pack(seed + tree)
    width, tokens = 32, pack.segments[-1].end
    size = -(-tokens // width) * width + width  # the last block is padding alone
    got = blocks(padded(last_seers(pack.segments), size), width)
    mask = torch.eye(size, dtype=torch.bool)  # what is added sees itself
    mask[:tokens, :tokens] = dense_mask(pack.segments)
    tiles = mask.view(size // width, width, size // width, width)
    everything = tiles.all(3).all(1)
    assert torch.equal(got.all_BB, everything)
    assert torch.equal(got.some_BB, tiles.any(3).any(1) & ~everything)


def test_segments_that_are_no_walk_down_a_tree_are_refused():
    """The last segment sees the first and not the second, though it sees tokens after that."""
    segments = (
        Segment(0, 4, ()),
        Segment(4, 8, ((0, 4),)),
        Segment(8, 10, ((0, 4),)),
        Segment(10, 12, ((0, 2), (5, 7))),
    )
    with pytest.raises(AssertionError, match="walk down"):
        last_seers(segments)


@pytest.mark.parametrize("tree", range(40))
def test_a_pack_is_flat_if_its_mask_is_a_row_of_triangles(tree, seed):
    pack = random_pack(seed + tree)
    starts = sequence_starts(last_seers(pack.segments))
    mask = dense_mask(pack.segments)
    seen_T = mask.sum(1)
    first = (seen_T == 1).nonzero().flatten().tolist()  # tokens that see themselves alone
    ends = [*first[1:], len(mask)]
    triangles = torch.block_diag(
        *(
            torch.ones(end - begin, end - begin).tril()
            for begin, end in zip(first, ends, strict=True)
        )
    )
    flat = torch.equal(triangles.bool(), mask)
    assert starts == ([*first, len(mask)] if flat else None)


def test_a_prompt_with_one_answer_is_flat_and_with_two_is_not():
    prompt, answer = Segment(0, 5, ()), Segment(5, 9, ((0, 5),))
    assert sequence_starts(last_seers((prompt, answer))) == [0, 9]
    other = Segment(9, 12, ())
    assert sequence_starts(last_seers((prompt, answer, other))) == [0, 9, 12]
    assert sequence_starts(last_seers((prompt, answer, Segment(9, 12, ((0, 5),))))) is None
