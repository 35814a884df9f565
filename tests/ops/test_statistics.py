"""Statistics of vocabulary shards combine to those of the whole."""

from itertools import pairwise

import torch
from head_cases import error, implementations, inputs
from hypothesis import given
from hypothesis import strategies as st

from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.rows import choose_rows
from azr_fast.ops.statistics import RowStatistics, merge

logits = st.one_of(
    st.floats(-20, 20), st.floats(-1e4, 1e4), st.sampled_from([-250.0, 250.0, 0.0, -1e30])
)


def statistics(z_NV, targets_N, first=0):
    """By the definition, in z's precision, of columns `first`… of a vocabulary."""
    shift_N = z_NV.max(1).values
    y_NV = z_NV - shift_N[:, None]
    here_NV = targets_N[:, None] == torch.arange(first, first + z_NV.shape[1])
    target_y_N = torch.where(here_NV, y_NV, -torch.inf).max(1).values
    return RowStatistics(shift_N, y_NV.exp().sum(1), (y_NV * y_NV.exp()).sum(1), target_y_N)


@st.composite
def split_rows(draw):
    """Rows of logits, targets, and the same columns in consecutive shards."""
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 24))
    row = st.lists(logits, min_size=columns, max_size=columns)
    z_NV = torch.tensor(draw(st.lists(row, min_size=rows, max_size=rows)), dtype=torch.float64)
    target = st.integers(0, columns - 1)
    targets_N = torch.tensor(draw(st.lists(target, min_size=rows, max_size=rows)))
    cuts = draw(st.sets(st.integers(0, columns - 1))) | {0, columns}
    bounds = sorted(cuts)
    shards = [statistics(z_NV[:, a:b], targets_N, a) for a, b in pairwise(bounds)]
    return z_NV, targets_N, shards


def columns_of(s):
    return torch.stack([s.shift_N, s.exp_N, s.y_exp_N, s.target_y_N])


def assert_same(got, expected):
    assert torch.allclose(columns_of(got), columns_of(expected), rtol=1e-12, atol=1e-12)


@given(split_rows())
def test_the_shards_of_a_row_merge_to_the_row(case):
    z_NV, targets_N, shards = case
    merged = merge(shards)
    assert_same(merged, statistics(z_NV, targets_N))
    logp_NV = z_NV.log_softmax(1)
    logp_N = logp_NV.gather(1, targets_N[:, None])[:, 0]
    assert torch.allclose(merged.logp(), logp_N, rtol=1e-12, atol=1e-10)
    entropy_N = -(logp_NV.exp() * logp_NV).sum(1)
    assert torch.allclose(merged.entropy(), entropy_N, rtol=1e-10, atol=1e-10)


@given(split_rows(), st.randoms(use_true_random=False), st.data())
def test_neither_order_nor_grouping_of_the_shards_matters(case, random, data):
    *_, shards = case
    shuffled = random.sample(shards, len(shards))
    assert_same(merge(shuffled), merge(shards))
    cut = data.draw(st.integers(1, len(shards)))
    parts = [part for part in (shards[:cut], shards[cut:]) if part]
    assert_same(merge([merge(part) for part in parts]), merge(shards))


@given(split_rows())
def test_a_single_shard_is_unchanged_to_the_bit(case):
    z_NV, targets_N, _ = case
    whole = statistics(z_NV, targets_N)
    assert torch.equal(columns_of(merge([whole])), columns_of(whole))


@implementations
def test_a_head_split_over_ranks_gives_the_whole_heads_log_probs(implementation, seed):
    """Uneven shards of the weight, as each rank would hold one."""
    hidden, weight, targets, *_ = inputs(seed, 33, 24, 1003)
    rows, ones_N, shards = choose_rows(implementation, hidden.device), torch.ones(33), []
    for first, end in ((0, 1), (1, 500), (500, 1003)):
        inside = (targets >= first) & (targets < end)
        logits_NV = hidden @ weight[first:end].T
        s = rows.statistics(logits_NV, torch.where(inside, targets - first, 0), ones_N)
        target_y_N = s.target_y_N.where(inside, torch.tensor(-torch.inf))
        shards.append(RowStatistics(s.shift_N, s.exp_N, s.y_exp_N, target_y_N))
    merged = merge(shards)
    logp_N, entropy_N = linear_logprob(hidden, weight, targets, implementation=implementation)
    assert error(merged.logp(), logp_N.double()) < 2e-6
    assert error(merged.entropy(), entropy_N.double()) < 2e-6
