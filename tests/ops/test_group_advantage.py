"""Advantages against exact fractions: torch, C++ and the Triton kernel, interpreted, on the same cases;
the output is full of nan before the call."""

import math
from collections import defaultdict
from dataclasses import asdict
from fractions import Fraction

import pytest
import torch

from azr_fast.algorithms import GROUPED
from azr_fast.ops.group_advantage import ESTIMATORS, cpu_launch, group_advantage, torch_launch

KERNEL = "azr_fast.triton_kernels.group_advantage"
SCALED = [name for name, plain in ESTIMATORS.items() if plain.scaled]
CASES = [(name, False) for name in ESTIMATORS]
CASES += [(name, True) for name, plain in ESTIMATORS.items() if not plain.leave_one_out]
estimators = pytest.mark.parametrize(("estimator", "token_weighted"), CASES)


@pytest.fixture(params=["torch", "cpu", "triton, interpreted"])
def advantages(request):
    """rewards, groups, lengths, estimator, token_weighted → advantage of each token."""

    def interpreted(*tensors, **arithmetic):
        interpreter = request.getfixturevalue("interpreter")
        tensors[-1].copy_(interpreter(f"{KERNEL}:launch", *tensors, **arithmetic)[1][-1])

    launch = {"torch": torch_launch, "cpu": cpu_launch}.get(request.param, interpreted)

    def call(rewards, groups, lengths, estimator, token_weighted=False):
        arithmetic = asdict(ESTIMATORS[estimator]) | {"token_weighted": token_weighted}
        out = torch.full((int(lengths.sum()),), torch.nan)
        launch(rewards, groups, lengths, out, **arithmetic)
        return out

    return call


def exact(rewards, groups, lengths, estimator, token_weighted=False):
    """The advantage of each sequence; everything but the square root in exact fractions."""
    plain = ESTIMATORS[estimator]
    members = defaultdict(list)
    for i, group in enumerate(groups.tolist()):
        members[0 if plain.one_group else group].append(i)
    r = [Fraction(reward) for reward in rewards.tolist()]
    w = [Fraction(n if token_weighted else 1) for n in lengths.tolist()]
    result = [0.0] * len(r)
    for group in members.values():
        total = sum(w[i] for i in group)
        if len(group) == 1 or not total:
            continue
        mean = sum(w[i] * r[i] for i in group) / total
        variance = sum(w[i] * (r[i] - mean) ** 2 for i in group) / total
        for i in group:
            if plain.leave_one_out:
                others = [r[j] for j in group if j != i]
                result[i] = float(r[i] - sum(others) / len(others))
            elif not plain.scaled:
                result[i] = float(r[i] - mean)
            elif variance:
                result[i] = float(r[i] - mean) / math.sqrt(variance)
    return result


def spread_out(per_sequence, lengths):
    tokens = [
        value for value, n in zip(per_sequence, lengths.tolist(), strict=True) for _ in range(n)
    ]
    return torch.tensor(tokens, dtype=torch.float64)


def assert_exact(got, case, estimator, token_weighted=False):
    expected = spread_out(exact(*case, estimator, token_weighted), case[2])
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), expected, rtol=1e-6, atol=1e-6 * expected.abs().max())


def random_case(generator, sequences, groups, longest=9):
    """Rewards with ties, keys far apart, lengths with zeros among them."""

    def integers(low, high):
        return torch.randint(low, high, (sequences,), generator=generator)

    rewards = torch.randn(sequences, generator=generator) * integers(0, 3)
    return rewards, integers(0, groups) * 1_000_003 - 7, integers(0, longest)


@estimators
@pytest.mark.parametrize(("sequences", "groups"), [(1, 1), (7, 3), (40, 6)])
def test_against_exact_fractions(
    advantages, generator, estimator, token_weighted, sequences, groups
):
    case = random_case(generator, sequences, groups)
    case[2][0] = 5  # some token is there
    assert_exact(advantages(*case, estimator, token_weighted), case, estimator, token_weighted)


@pytest.mark.parametrize(("estimator", "token_weighted"), [("trr++", True), ("rloo", False)])
@pytest.mark.parametrize("sequences", [300, pytest.param(1101, marks=pytest.mark.slow)])
def test_more_sequences_than_a_block_holds(
    advantages, generator, estimator, token_weighted, sequences
):
    case = random_case(generator, sequences, 3)
    assert_exact(advantages(*case, estimator, token_weighted), case, estimator, token_weighted)


@estimators
def test_large_rewards_with_a_tiny_spread(advantages, generator, estimator, token_weighted):
    """A variance of squares minus the square of the mean would be rounding noise."""
    _, groups, lengths = random_case(generator, 60, 4)
    lengths += 1
    for dtype, spread in ((torch.float32, 2e-3), (torch.float64, 1e-6)):
        steps = torch.randint(8, (60,), generator=generator, dtype=torch.float64)
        case = (1e4 + spread * steps).to(dtype), groups, lengths
        got = advantages(*case, estimator, token_weighted)
        assert_exact(got, case, estimator, token_weighted)
        if estimator in SCALED:
            assert got.abs().max() > 0.5


@estimators
@pytest.mark.parametrize("reward", [0.0, 0.1, -1e4, 1e-30])
def test_groups_without_variance_give_exactly_zero(advantages, estimator, token_weighted, reward):
    rewards = torch.full((7,), reward)
    groups, lengths = torch.tensor([1, 2, 1, 1, 2, 1, 3]), torch.tensor([3, 1, 4, 1, 5, 9, 2])
    got = advantages(rewards, groups, lengths, estimator, token_weighted)
    assert got.tolist() == [0.0] * 25


@estimators
def test_groups_of_one_and_groups_without_tokens(advantages, estimator, token_weighted):
    if ESTIMATORS[estimator].one_group:
        groups = torch.tensor([5])
        assert advantages(torch.tensor([3.0]), groups, torch.tensor([4]), estimator).eq(0).all()
        return
    rewards = torch.tensor([3.0, 7.0, 9.0, 1.0, 2.0])
    groups, lengths = torch.tensor([1, 2, 2, 3, 3]), torch.tensor([2, 0, 0, 3, 1])
    got = advantages(rewards, groups, lengths, estimator, token_weighted)
    assert got[:2].tolist() == [0.0, 0.0]
    assert (got[2:5] < 0).all()
    assert got[5] > 0


@pytest.mark.parametrize("ids", [torch.int32, torch.int64], ids=str)
def test_long_sequences_fill_their_tokens_and_no_others(advantages, generator, ids):
    """Longer than the kernel's blocks, beginning at every residue of their alignment."""
    lengths = torch.tensor([1, 6001, 4096, 0, 2047, 2, 8191, 2048, 3, 5000], dtype=ids)
    rewards = torch.randn(10, generator=generator)
    case = rewards, torch.tensor([0, 1] * 5, dtype=ids), lengths
    assert_exact(advantages(*case, "grpo"), case, "grpo")


def test_two_runs_are_bitwise_equal(advantages, generator):
    case = random_case(generator, 100, 5)
    assert torch.equal(advantages(*case, "trr++", True), advantages(*case, "trr++", True))


def test_every_arithmetic_of_an_algorithm_is_there():
    assert {algorithm.arithmetic for algorithm in GROUPED.values()} == set(ESTIMATORS)


def test_no_sequences_and_no_tokens():
    nothing = torch.zeros(0, dtype=torch.int64)
    assert group_advantage(nothing.float(), nothing, nothing, estimator="grpo").shape == (0,)
    zeros = torch.zeros(3, dtype=torch.int64)
    assert group_advantage(zeros.float(), zeros, zeros, estimator="rloo").shape == (0,)


def test_strided_inputs(generator):
    case = random_case(generator, 40, 4)
    got = group_advantage(*(value[::2] for value in case), estimator="trr++")
    assert_exact(got, tuple(value[::2] for value in case), "trr++")
