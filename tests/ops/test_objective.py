"""The arithmetic of a token against autograd of its loss, over all of its inputs."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from objective_cases import plain_loss

from azr_fast.ops.objective import CORRECTIONS, Objective, TokenObjective, TokenResults
from azr_fast.ops.rows import TorchRows
from azr_fast.ops.rows_cpu import CpuRows

LOGP = st.floats(-60, 0, allow_subnormal=False)
NUMBER = st.floats(-10, 10, allow_subnormal=False)
POSITIVE = st.floats(0.01, 3, allow_subnormal=False)


@st.composite
def objectives(draw):
    """Of one token, and its log-probability and entropy."""
    logp = draw(LOGP)
    nearby = st.one_of(LOGP, st.floats(-1, 1).map(lambda away: logp + away), st.just(logp))
    correction = draw(st.sampled_from(CORRECTIONS))
    objective = Objective(
        one(draw(st.one_of(NUMBER, st.just(0.0)))),
        one(draw(st.one_of(POSITIVE, st.just(0.0)))),
        draw(NUMBER),
        one(draw(nearby)),
        correction,
        draw(st.floats(0, 1)),
        draw(POSITIVE),
        draw(st.none() | st.floats(1.01, 5)) if correction == "clip" else None,
        draw(POSITIVE),
        one(draw(nearby)),
        draw(NUMBER),
    )
    return objective, one(logp), one(draw(POSITIVE))


def one(value):
    return torch.tensor([value], dtype=torch.float64)


def checked_in_fp64(objective):
    """What `Objective.checked` makes of fp32, from fp64: the formulas, not their rounding."""
    numbers = objective.entropy_weight, 1 - objective.low, 1 + objective.high
    entropy_weight, lowest, highest = map(one, numbers)
    rows = (
        objective.advantage_N,
        objective.weight_N,
        entropy_weight,
        objective.behaviour_logp_N,
        lowest,
        highest,
        objective.reference_logp_N,
    )
    dual = math.inf if objective.dual is None else objective.dual
    return TokenObjective(
        torch.stack(rows),
        CORRECTIONS.index(objective.correction),
        dual,
        objective.cap,
        objective.kl_weight,
        has_reference=True,
    )


@given(objectives())
def test_loss_and_gradient_are_those_of_autograd(case):
    objective, logp, entropy = case
    terms = checked_in_fp64(objective).terms(logp, entropy)
    logp.requires_grad_()
    entropy.requires_grad_()
    loss, clipped, k3 = plain_loss(objective, logp, entropy)
    loss.backward()
    for got, expected in (
        (terms.loss, loss.detach()),
        (-terms.coefficient, logp.grad),
        (-terms.entropy_coefficient, entropy.grad),
        (terms.k3, k3),
    ):
        torch.testing.assert_close(got, expected, rtol=1e-7, atol=1e-9)
    if objective.advantage_N and near_no_bound(objective, logp):
        assert torch.equal(terms.clipped, clipped)


def near_no_bound(objective, logp):
    ratio = (logp - objective.behaviour_logp_N).exp().item()
    bounds = 1 - objective.low, 1 + objective.high, objective.dual or 1, objective.cap
    return all(abs(ratio - bound) > 1e-9 for bound in bounds)


@given(objectives())
def test_tokens_not_needed_have_no_loss_and_no_gradient(case):
    objective, logp, entropy = case
    checked = checked_in_fp64(objective)
    if not checked.needed():
        terms = checked.terms(logp, entropy)
        assert not any((terms.loss, terms.coefficient, terms.entropy_coefficient))


@given(objectives())
def test_on_policy_every_correction_is_the_plain_gradient(case):
    objective, logp, entropy = case
    checked = checked_in_fp64(
        replace(objective, behaviour_logp_N=logp, low=0.1, kl_weight=0.0, cap=1.0)
    )
    coefficient = checked.terms(logp, entropy).coefficient
    assert torch.equal(coefficient, objective.weight_N * objective.advantage_N)


def plain(count, **options):
    return Objective(torch.ones(count), torch.ones(count), **options)


@pytest.mark.parametrize("advantage", [2.0, -2.0])
@pytest.mark.parametrize(
    ("ratio", "counts"), [(0.5, -1), (0.85, 0), (1.0, 0), (1.25, 0), (1.5, 1), (4.0, 1)]
)
def test_the_clip_stops_what_goes_too_far_its_own_way(advantage, ratio, counts):
    """A ratio beyond a bound is clipped where the advantage pulls it farther, and there alone."""
    logp = torch.tensor([-2.0])
    objective = replace(
        plain(1, correction="clip", behaviour_logp_N=logp - math.log(ratio), low=0.2, high=0.3),
        advantage_N=torch.tensor([advantage]),
    )
    terms = objective.checked(torch.zeros(1, dtype=torch.int64)).terms(logp, torch.ones(1))
    clipped = counts * advantage > 0
    assert terms.clipped.item() == clipped
    assert terms.coefficient.item() == pytest.approx(0 if clipped else advantage * ratio)


def test_the_dual_clip_bounds_the_push_against_a_token():
    logp = torch.full((3,), -2.0)
    behaviour = logp - torch.tensor([2.9, 3.1, 50.0]).log()
    objective = replace(
        plain(3, correction="clip", behaviour_logp_N=behaviour, dual=3.0),
        advantage_N=torch.full((3,), -1.0),
    )
    terms = objective.checked(torch.zeros(3, dtype=torch.int64)).terms(logp, torch.ones(3))
    assert terms.loss.tolist() == pytest.approx([2.9, 3.0, 3.0])
    assert terms.clipped.tolist() == [False, True, True]


@pytest.mark.parametrize("implementation", [TorchRows(), CpuRows()], ids=["torch", "cpu"])
@pytest.mark.parametrize(("advantage", "away"), [(1e9, -25.0), (-1.0, 25.0)])
def test_beyond_the_clamp_of_its_exponent_a_ratio_has_no_gradient(implementation, advantage, away):
    """There the ratio's own branch is chosen, and the ratio is a constant e^±20."""
    logits, targets = torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64)
    behaviour = torch.tensor([-math.log(4) - away])
    objective = replace(
        plain(1, correction="clip", behaviour_logp_N=behaviour),
        advantage_N=torch.tensor([advantage]),
    )
    results = torch.full((6, 1), torch.nan)
    implementation.policy_loss(logits, targets, torch.ones(1), objective.checked(targets), results)
    got = TokenResults(*results)
    assert got.loss.item() == pytest.approx(-advantage * math.exp(math.copysign(20, away)))
    assert (got.coefficient.item(), got.clipped.item()) == (0.0, 1.0)
    assert not logits.any()


@pytest.mark.parametrize("implementation", [TorchRows(), CpuRows()], ids=["torch", "cpu"])
@pytest.mark.parametrize("away", [-25.0, 25.0])
def test_beyond_the_clamp_of_its_exponent_k3_has_no_gradient(implementation, away):
    logits, targets = torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64)
    reference = torch.tensor([-math.log(4) + away])
    objective = replace(
        plain(1, reference_logp_N=reference, kl_weight=0.5), advantage_N=torch.zeros(1)
    )
    results = torch.full((6, 1), torch.nan)
    implementation.policy_loss(logits, targets, torch.ones(1), objective.checked(targets), results)
    got, clamped = TokenResults(*results), math.copysign(20, away)
    assert got.k3.item() == pytest.approx(math.exp(clamped) - clamped - 1)
    assert got.coefficient.item() == 0.0
    assert not logits.any()


def test_a_token_is_needed_for_each_of_the_terms_alone():
    targets, one, none = torch.zeros(1, dtype=torch.int64), torch.ones(1), torch.zeros(1)

    def needed(advantage=none, weight=one, **options):
        return Objective(advantage, weight, **options).checked(targets).needed().item()

    kl = {"kl_weight": 0.1, "reference_logp_N": -one}
    assert needed(advantage=one)
    assert needed(entropy_weight=0.1)
    assert needed(**kl)
    assert not needed()
    assert not needed(reference_logp_N=-one)
    assert not needed(advantage=one, weight=none, entropy_weight=0.1, **kl)


def test_nan_is_not_taken_for_a_clipped_token():
    """Else a broken row would be left out of the products and no one would see it."""
    targets, nan = torch.zeros(1, dtype=torch.int64), torch.tensor([torch.nan])
    for correction in CORRECTIONS:
        objective = plain(1, correction=correction, behaviour_logp_N=torch.ones(1))
        terms = objective.checked(targets).terms(nan, nan)
        assert terms.loss.isnan().all()
        assert correction == "none" or terms.coefficient.isnan().all()


def test_k3_without_weight_is_reported_and_nothing_else():
    logp, entropy = torch.tensor([-1.0]), torch.ones(1)
    targets = torch.zeros(1, dtype=torch.int64)
    without = plain(1).checked(targets).terms(logp, entropy)
    reported = plain(1, reference_logp_N=torch.tensor([-1.5])).checked(targets)
    terms = reported.terms(logp, entropy)
    assert terms.k3.item() == pytest.approx(math.exp(-0.5) - 0.5)
    assert without.k3.item() == 0
    assert (terms.loss, terms.coefficient) == (without.loss, without.coefficient)
