"""Who sees whom in a pack, as one number a token, and the blocks that follow from it.

A pack's segments lie in the order of a walk down their tree (policy/packing.py): whatever hangs
from a segment follows it without a gap. So token k is seen by exactly the tokens q with
k <= q < last[k], where last[k] is the end of the last segment that hangs from k's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from azr_fast.policy.packing import Segment


def last_seers(segments: Sequence[Segment]) -> torch.Tensor:
    """`last_T` of a pack (int32): token k is seen by tokens k to last[k] - 1 and by no other."""
    last_T = np.zeros(segments[-1].end, dtype=np.int32)
    pairs = 0
    for begin, end, prefix in segments:
        own = end - begin
        pairs += own * (own + 1) // 2 + own * sum(stop - start for start, stop in prefix)
        for start, stop in (*prefix, (begin, end)):
            last_T[start:stop] = end
    # Every pair that the segments name is one by `last_T` too, so that equal counts prove it right.
    seen = int((last_T - np.arange(len(last_T))).sum(dtype=np.int64))
    assert seen == pairs, "the segments are not in the order of a walk down their tree"
    return torch.from_numpy(last_T)


def padded(last_T: torch.Tensor, size: int) -> torch.Tensor:
    """`last_T` made `size` long: the tokens that are added are seen by themselves alone."""
    alone = torch.arange(len(last_T) + 1, size + 1, dtype=last_T.dtype, device=last_T.device)
    return torch.cat((last_T, alone))


def sequence_starts(last_T: torch.Tensor) -> list[int] | None:
    """Where the sequences of a flat pack begin, and its end; None if some token branches.

    A pack is flat when it is a row of sequences in which each token sees all before it.
    """
    ends_S = torch.from_numpy(np.unique(last_T.numpy()))
    starts = [0, *ends_S.tolist()]
    lengths_S = ends_S.diff(prepend=ends_S.new_zeros(1))
    flat = torch.equal(ends_S.repeat_interleave(lengths_S), last_T)
    return starts if flat else None


@dataclass(frozen=True, slots=True)
class Blocks:
    """Pairs of a block of queries and a block of keys in which some token sees another."""

    some_BB: torch.Tensor  # bool: some query sees some key, and some query does not see some key
    all_BB: torch.Tensor  # bool: every query sees every key


def blocks(last_T: torch.Tensor, width: int) -> Blocks:
    """The blocks of `width` tokens. Costs the square of their number, not that of the tokens."""
    least_B, most_B = last_T.view(-1, width).aminmax(dim=1)
    begin_B = torch.arange(0, len(last_T), width, dtype=last_T.dtype, device=last_T.device)
    query_B, key_B = begin_B[:, None], begin_B[None]
    all_BB = (key_B < query_B) & (least_B[None] >= query_B + width)
    seen_BB = (key_B <= query_B) & (most_B[None] > query_B)
    return Blocks(seen_BB & ~all_BB, all_BB)
