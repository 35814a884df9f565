import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_fast.algorithms import open_algorithm
from azr_fast.algorithms.weights import token_weights
from azr_fast.config.schema import AdvantageConfig
from azr_fast.types import Episode, Role


def set_advantages(batch, config):
    for one, advantage in zip(batch, open_algorithm(config).advantages(batch), strict=True):
        one.advantage = advantage


def episode(kind, role, reward, tokens=1, prompt_ids=(1,)):
    ids, sampled = [*prompt_ids, *range(tokens)], [False] * len(prompt_ids) + [True] * tokens
    one = Episode((0,), role, kind, token_ids=ids, sampled=sampled, logprobs=[0.0] * len(ids))
    one.reward = reward
    return one


def test_trr_normalises_each_task_role_group_by_itself():
    batch = [
        episode("deduction", Role.SOLVER, 1.0),
        episode("deduction", Role.SOLVER, -1.0),
        episode("deduction", Role.PROPOSER, 0.0),
        episode("deduction", Role.PROPOSER, 3.0),
        episode("deduction", Role.PROPOSER, 3.0),
    ]
    set_advantages(batch, AdvantageConfig())
    assert [one.advantage for one in batch] == pytest.approx(
        [1.0, -1.0, -math.sqrt(2), math.sqrt(0.5), math.sqrt(0.5)]
    )


def test_token_weighted_statistics_count_every_token():
    batch = [episode("a", Role.SOLVER, 1.0, tokens=3), episode("a", Role.SOLVER, 0.0, tokens=1)]
    set_advantages(batch, AdvantageConfig(token_weighted=True))
    std = math.sqrt(0.75 * 0.25)
    assert [one.advantage for one in batch] == pytest.approx([0.25 / std, -0.75 / std])


def advantages(rewards, groups, tokens=None, **config):
    tokens = tokens or [1] * len(rewards)
    batch = [
        episode(f"kind{group}", Role.SOLVER, reward, length, prompt_ids=(group,))
        for reward, group, length in zip(rewards, groups, tokens, strict=True)
    ]
    set_advantages(batch, AdvantageConfig(**config))
    return [one.advantage for one in batch]


def test_groups_of_one_and_without_variance_give_zero():
    assert advantages([5.0], [1]) == [0.0]
    assert advantages([0.1] * 3, [1] * 3) == [0.0] * 3
    assert advantages([], []) == []
    assert advantages([5.0, 1.0], [1, 2], estimator="rloo") == [0.0, 0.0]


def test_an_answer_without_tokens_trains_nothing():
    assert advantages([1.0, -1.0, 7.0], [1, 1, 2], [4, 4, 0]) == pytest.approx([1.0, -1.0, 0.0])


def test_large_rewards_with_a_tiny_spread_keep_their_order():
    assert advantages([1e4, 1e4 + 1e-4], [1, 1]) == pytest.approx([-1.0, 1.0], rel=1e-3)


def test_leave_one_out_subtracts_the_mean_of_the_others():
    got = advantages([1.0, 0.0, 0.5], [1] * 3, estimator="rloo")
    assert got == pytest.approx([0.75, -0.75, 0.0])


def test_dr_grpo_does_not_scale():
    got = advantages([3.0, 1.0, 9.0], [1, 1, 2], estimator="dr_grpo")
    assert got == pytest.approx([1.0, -1.0, 0.0])


def test_global_is_one_group():
    assert advantages([1.0, -1.0], [1, 2], estimator="global") == pytest.approx([1.0, -1.0])


def test_leave_one_out_has_no_weights():
    with pytest.raises(ValueError, match="token_weighted"):
        AdvantageConfig(estimator="rloo", token_weighted=True)


def test_grpo_groups_by_prompt():
    batch = [
        episode("a", Role.SOLVER, 1.0, prompt_ids=(1,)),
        episode("a", Role.SOLVER, 0.0, prompt_ids=(1,)),
        episode("a", Role.SOLVER, 0.0, prompt_ids=(2,)),
    ]
    set_advantages(batch, AdvantageConfig(estimator="grpo"))
    assert [one.advantage for one in batch] == pytest.approx([1.0, -1.0, 0.0])


@given(st.lists(st.tuples(st.floats(-10, 10), st.integers(0, 3), st.integers(1, 50))))
def test_every_normalised_group_has_mean_0_and_variance_1_or_is_zero(rows):
    rewards, groups, tokens = ([row[i] for row in rows] for i in range(3))
    got = advantages(rewards, groups, tokens, token_weighted=True)
    for key in set(groups):
        mine = [(got[i], tokens[i]) for i, other in enumerate(groups) if other == key]
        total = sum(weight for _, weight in mine)
        mean = sum(weight * value for value, weight in mine) / total
        variance = sum(weight * value**2 for value, weight in mine) / total
        assert mean == pytest.approx(0.0, abs=1e-4)
        assert variance == pytest.approx(0.0) or variance == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("weighting", ["tokens", "equal"])
def test_token_weights_add_up_to_one(weighting):
    batch = [
        episode("a", Role.PROPOSER, 0.0, tokens=12),
        episode("a", Role.SOLVER, 0.0, tokens=30),
        episode("a", Role.SOLVER, 0.0, tokens=8),
    ]
    weights = token_weights(batch, AdvantageConfig(group_weighting=weighting))
    lengths = [12, 30, 8]
    assert sum(w * n for w, n in zip(weights, lengths, strict=True)) == pytest.approx(1.0)
    proposer = weights[0] * lengths[0]
    assert proposer == pytest.approx(0.5 if weighting == "equal" else 12 / 50)


def group_shares(tokens_by_group, answers=1):
    """Each group's share of the loss under "equal", in the order given, and the batch's weights."""
    batch = [
        episode(f"kind{group}", Role.SOLVER, 0.0, tokens)
        for group, tokens in enumerate(tokens_by_group)
        for _ in range(answers)
    ]
    weights = token_weights(batch, AdvantageConfig(group_weighting="equal"))
    shares = [0.0] * len(tokens_by_group)
    for one, weight in zip(batch, weights, strict=True):
        shares[int(one.group[0].removeprefix("kind"))] += weight * one.length
    return shares, weights


def test_a_group_of_83_tokens_gets_four_times_its_tokens_share():
    tokens = [83, 2000, 900, 1500, 700, 3000]
    shares, weights = group_shares(tokens)
    assert shares[0] == pytest.approx(4 * 83 / 8183)
    assert shares[1:] == pytest.approx([(1 - 4 * 83 / 8183) / 5] * 5)
    assert max(weights) == pytest.approx(4 / 8183)


def test_what_one_bound_cuts_may_bring_another_group_to_its_bound():
    shares, _ = group_shares([10, 62, 428, 500])
    assert shares == pytest.approx([0.04, 0.248, 0.356, 0.356])


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([1, 1, 1, 1], [0.25] * 4),
        ([7], [1.0]),
        ([1, 2], [0.5, 0.5]),
        ([0, 5, 0, 5], [0.0, 0.5, 0.0, 0.5]),
        ([0, 0], [0.0, 0.0]),
        ([], []),
        ([1, 99], [0.04, 0.96]),
    ],
)
def test_shares_of_few_of_no_and_of_tiny_groups(tokens, expected):
    assert group_shares(tokens)[0] == pytest.approx(expected)


@given(st.lists(st.integers(0, 5000), max_size=8), st.integers(1, 3))
def test_shares_add_up_to_one_hold_the_bound_and_are_equal_where_it_does_not_bind(tokens, answers):
    shares, weights = group_shares(tokens, answers)
    total = answers * sum(tokens)
    if not total:
        assert not any(shares)
        return
    assert math.fsum(shares) == pytest.approx(1.0, abs=1e-12)
    assert max(weights) <= 4 / total * (1 + 1e-12)
    bounds = [4 * answers * count / total for count in tokens]
    free = [
        share
        for share, bound, count in zip(shares, bounds, tokens, strict=True)
        if count and share < bound * (1 - 1e-12)
    ]
    assert free == pytest.approx([free[0]] * len(free) if free else [])
    assert not free or max(shares) <= max(free) * (1 + 1e-12)
    filled = [count for count in tokens if count]
    if min(filled) * 4 * len(filled) >= sum(tokens):
        assert [share for share in shares if share] == pytest.approx(
            [1 / len(filled)] * len(filled)
        )
