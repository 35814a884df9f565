"""Answers that are computed for the entropy bonus alone."""

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from azr_fast.selfplay.entropy import entropy_shares, entropy_weights, keep_probability
from azr_fast.types import Episode, Role


def episode(id_, logprobs, advantage=0.0):
    tokens = len(logprobs)
    return Episode(
        id_,
        Role.SOLVER,
        "deduction",
        token_ids=[1, *range(tokens)],
        sampled=[False] + [True] * tokens,
        logprobs=[0.0, *logprobs],
        advantage=advantage,
    )


LOGPROBS = st.lists(st.floats(-30, 0), max_size=6)
BATCHES = st.lists(st.tuples(LOGPROBS, st.sampled_from([0.0, -1.0, 0.5])), max_size=8).map(
    lambda rows: [episode((i,), *row) for i, row in enumerate(rows)]
)


def test_the_probability_grows_with_the_square_root_of_the_surprisal():
    got = [keep_probability(episode((0,), [-s, -s])) for s in (0.0, 0.001, 0.25, 1, 4, 9)]
    assert got == pytest.approx([0.05, 0.05, 0.25, 0.5, 1.0, 1.0])
    assert keep_probability(episode((0,), [0.0, -0.5, 0.0, -0.5])) == pytest.approx(0.25)
    assert keep_probability(episode((0,), [-math.inf])) == 1.0
    assert keep_probability(episode((0,), [])) == 0.05


@given(BATCHES, st.text(max_size=3))
def test_a_weight_is_kept_over_its_probability_or_0_and_no_advantage_is_touched(batch, seed):
    weights = [1.0 + i for i in range(len(batch))]
    for one, before, after in zip(
        batch, weights, entropy_weights(batch, weights, 0.001, seed), strict=True
    ):
        if one.advantage:
            assert after == before
        else:
            assert after in (0.0, before / keep_probability(one))
            assert after <= 20.0 * before


def test_the_expected_gradient_is_unchanged():
    """All outcomes of the choice, each with its exact probability, on the entropies of softmaxes
    that share their parameters."""
    batch = [episode((i,), [-s] * 3) for i, s in enumerate((0.1, 0.5, 2.0))]
    batch.append(episode((3,), [-0.1] * 3, advantage=1.0))
    weights = [0.1, 0.2, 0.3, 0.4]
    shared = torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mixing = torch.randn(4, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def gradient(weights):
        leaf = shared.clone().requires_grad_()
        logp = torch.log_softmax(mixing @ leaf, -1)
        entropies = -(logp.exp() * logp).sum(-1)
        (torch.tensor(weights, dtype=torch.float64) * entropies).sum().backward()
        return leaf.grad

    outcomes = {tuple(entropy_weights(batch, weights, 0.001, str(seed))) for seed in range(1000)}
    assert len(outcomes) == 8
    expected, total = torch.zeros_like(shared), 0.0
    for outcome in outcomes:
        p = [keep_probability(one) for one in batch[:3]]
        chance = math.prod(q if w else 1 - q for q, w in zip(p, outcome, strict=False))
        expected, total = expected + chance * gradient(outcome), total + chance
    assert total == pytest.approx(1.0)
    assert torch.allclose(expected, gradient(weights), rtol=1e-12, atol=1e-12)


def test_answers_are_kept_as_often_as_they_should():
    batch = [episode((i, j), [-0.25]) for i in range(100) for j in range(100)]
    kept = sum(1 for w in entropy_weights(batch, [1.0] * 10_000, 0.001, "0/7") if w)
    assert abs(kept - 2500) < 4 * math.sqrt(10_000 * 0.25 * 0.75)


def test_the_choice_follows_from_seed_and_request_whatever_the_order():
    batch = [episode((i // 3, i % 3), [-0.5]) for i in range(60)]
    ones = [1.0] * len(batch)
    first = entropy_weights(batch, ones, 0.001, "3/1")
    assert entropy_weights(batch, ones, 0.001, "3/1") == first
    assert entropy_weights(batch[::-1], ones, 0.001, "3/1") == first[::-1]
    assert entropy_weights(batch, ones, 0.001, "3/2") != first


def test_without_a_bonus_nothing_is_computed_for_it():
    batch = [episode((0,), [-3.0]), episode((1,), [-3.0], advantage=1.0)]
    assert entropy_weights(batch, [1.0, 1.0], 0.0, "") == [0.0, 1.0]


def test_the_shares_count_tokens():
    batch = [
        episode((0,), [-1.0] * 5),
        episode((1,), [-1.0] * 3),
        episode((2,), [-1.0] * 12, advantage=2.0),
    ]
    got = entropy_shares(batch, [0.3, 0.0, 0.1])
    assert got == pytest.approx({"entropy_only": 0.25, "left_out": 0.15})
    assert entropy_shares([], []) == {"entropy_only": 0.0, "left_out": 0.0}


# --- is the rule the right one? -----------------------------------------------------------------


def simulated(answers, vocabulary=200):
    """Answers of a few forks among sure tokens: lengths, mean surprisals, and the sums over tokens
    of the squared entropy gradient with respect to the logits."""
    torch.manual_seed(0)
    rng = random.Random(0)
    rows = []
    for _ in range(answers):
        length, forks = rng.randint(5, 79), rng.betavariate(0.7, 6.3)
        logits = torch.randn(length, vocabulary) * (2 + 2 * torch.rand(length, 1))
        sure = torch.rand(length) >= forks
        peak = torch.where(sure, 14 + 16 * torch.rand(length), 4 + 5 * torch.rand(length))
        logits[:, 0] += peak
        logp = torch.log_softmax(logits.double(), -1)
        entropy = -(logp.exp() * logp).sum(-1, keepdim=True)
        squared = (logp.exp() * (logp + entropy)).square().sum()
        chosen = torch.multinomial(logp.exp(), 1)
        surprisal = -logp.gather(1, chosen).mean()
        rows.append((float(length), float(surprisal), float(squared)))
    return torch.tensor(rows, dtype=torch.float64).T


def added_variance(rule, lengths, squared, share=0.2):
    """Relative to the squared gradient, with the rule scaled so that `share` of the tokens is
    computed."""
    low, high = 0.0, 1e6
    for _ in range(100):
        p = (rule * (low + high) / 2).clamp(0.05, 1.0)
        low, high = ((low + high) / 2, high) if (p @ lengths) < share * lengths.sum() else (
            low, (low + high) / 2
        )  # fmt: skip
    return float((squared * (1 / p - 1)).sum() / squared.sum())


def test_the_square_root_adds_less_variance_than_an_equal_share_or_the_surprisal():
    lengths, surprisal, squared = simulated(400)
    rules = surprisal.sqrt(), torch.ones_like(surprisal), surprisal
    root, equal, proportional = (added_variance(rule, lengths, squared) for rule in rules)
    best = added_variance((squared / lengths).sqrt(), lengths, squared)
    assert best < root < 0.95 * min(equal, proportional)
    assert root < 1.25 * best
