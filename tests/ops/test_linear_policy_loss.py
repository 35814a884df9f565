"""Objectives and compaction of the one-pass head. Numbers of its plain form: test_head.py."""

from dataclasses import astuple, replace

import pytest
import torch
from head_cases import (
    assert_close,
    dtypes,
    error,
    implementations,
    inputs,
    one_pass,
    oracle,
    temperatures,
)
from objective_cases import kinds, make_objective, plain_loss

from azr_fast import _kernels
from azr_fast.ops.head import IGNORED
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.objective import Objective
from azr_fast.ops.products import CpuProducts, TorchProducts


def policy_loss(hidden, weight, targets, objective, **options):
    """The result and d weight."""
    d_weight = torch.zeros(weight.shape)
    return linear_policy_loss(hidden, weight, targets, objective, d_weight, **options), d_weight


def chosen_logp(hidden, weight, targets, temperature=1.0):
    """Log p and entropy in fp64."""
    temperature = torch.as_tensor(temperature).double().reshape(-1, 1)
    logp = (hidden.double() @ weight.double().T / temperature).log_softmax(1)
    return logp.gather(1, targets[:, None])[:, 0], -(logp.exp() * logp).sum(1)


@implementations
@kinds
@pytest.mark.parametrize("chunk", [7, 1024])
def test_every_objective_against_fp64_autograd(implementation, kind, chunk, seed):
    hidden, weight, targets, *_ = inputs(seed, 60, 24, 1000)
    temperature = temperatures(seed, 60)
    leaves = [t.double().requires_grad_() for t in (hidden, weight)]
    logp, entropy = chosen_logp(*leaves, targets, temperature)
    objective = make_objective(kind, seed, logp.detach())
    loss, clipped, k3 = plain_loss(objective, logp, entropy)
    loss.sum().backward()
    result, d_weight = policy_loss(
        *(hidden, weight, targets, objective),
        implementation=implementation,
        temperature=temperature,
        chunk=chunk,
    )
    kept = objective.weight_N != 0
    assert torch.equal(result.logp_N.isnan(), ~kept)
    assert torch.equal(result.clipped_N[kept], clipped[kept])
    assert not torch.stack([result.loss_N, result.k3_N, result.clipped_N])[:, ~kept].any()
    for got, expected in (
        (result.logp_N[kept], logp[kept].detach()),
        (result.entropy_N[kept], entropy[kept].detach()),
        (result.loss_N, loss.detach()),
        (result.k3_N[kept], k3[kept]),
        (result.d_hidden_NH, leaves[0].grad),
        (d_weight, leaves[1].grad),
    ):
        assert error(got, expected) < 2e-5


@implementations
@dtypes
@pytest.mark.parametrize("masked", ["weight", "target", "advantage"])
def test_masked_tokens_change_no_bit_of_the_others(implementation, dtype, masked, seed):
    """They are compacted away: the result is that of the others alone."""
    hidden, weight, targets, advantage, _ = inputs(seed, 50, 24, 1000, dtype)
    kept = torch.arange(50) % 3 != 1
    weight_N, spoilt = torch.rand(50), hidden.clone()
    spoilt[~kept] = torch.nan  # of tokens that nothing reads
    alone, d_weight_alone = policy_loss(
        *(hidden[kept], weight, targets[kept], Objective(advantage[kept], weight_N[kept])),
        implementation=implementation,
        chunk=16,
    )
    if masked == "target":
        targets[~kept] = IGNORED
    else:
        (weight_N if masked == "weight" else advantage)[~kept] = 0.0
    among, d_weight = policy_loss(
        *(spoilt, weight, targets, Objective(advantage, weight_N)),
        implementation=implementation,
        chunk=16,
    )
    assert torch.equal(d_weight, d_weight_alone)
    for got, expected in zip(astuple(among), astuple(alone), strict=True):
        assert torch.equal(got[kept], expected)
        assert not got[~kept].nan_to_num().any()


@implementations
@dtypes
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_clipped_tokens_take_part_in_the_first_product_alone(
    implementation, dtype, share, product_rows, seed
):
    """And the rows of the others come out bit for bit as they do without the clip."""
    hidden, weight, targets, advantage, _ = inputs(seed, 64, 24, 1000, dtype)
    logp_N = chosen_logp(hidden, weight, targets)[0].float()
    gone = torch.rand(64, generator=torch.Generator().manual_seed(seed)) < share
    gone[0] = True
    behaviour = torch.where(gone, logp_N - 5 * advantage.sign(), logp_N)
    options = {"correction": "clip", "behaviour_logp_N": behaviour, "low": 0.9, "high": 9.0}
    objective = Objective(advantage, torch.ones(64), **options)
    unclipped = replace(objective, low=1.0, high=1e30)
    case = hidden, weight, targets, objective
    clipped, d_weight = policy_loss(*case, implementation=implementation)
    left = int((~gone).sum())
    assert product_rows == [("logits", 64), ("d_hidden", left), ("add_d_weight", left)]
    other, _ = policy_loss(*(hidden, weight, targets, unclipped), implementation=implementation)
    assert torch.equal(clipped.clipped_N, gone)
    assert torch.equal(clipped.d_hidden_NH[~gone], other.d_hidden_NH[~gone])
    assert not clipped.d_hidden_NH[gone].any()
    others = replace(objective, weight_N=(~gone).float())
    _, expected = policy_loss(*(hidden, weight, targets, others), implementation=implementation)
    assert error(d_weight, expected.double()) < (1e-6 if dtype == torch.float32 else 3e-3)


@pytest.fixture
def product_rows(monkeypatch):
    """The products that are called, and with how many tokens."""
    called = []

    def spied(products, name):
        plain = getattr(products, name)

        def spy(self, *tensors):
            called.append((name, tensors[name == "add_d_weight"].shape[0]))
            return plain(self, *tensors)

        return spy

    for products in (TorchProducts, CpuProducts):
        for name in ("logits", "d_hidden", "add_d_weight"):
            monkeypatch.setattr(products, name, spied(products, name))
    return called


@implementations
def test_a_broken_token_is_not_left_out_as_clipped(implementation, seed):
    hidden, weight, targets, advantage, _ = inputs(seed, 8, 24, 131)
    hidden[3] = torch.nan
    objective = Objective(advantage, torch.ones(8), 0.0, torch.zeros(8), "clip")
    result, d_weight = policy_loss(
        *(hidden, weight, targets, objective), implementation=implementation
    )
    assert result.loss_N.isnan().nonzero()[:, 0].tolist() == [3]
    assert result.d_hidden_NH[3].isnan().all()
    assert d_weight.isnan().any()


@implementations
def test_tokens_without_weight_are_not_computed(implementation, seed):
    hidden, weight, targets, coefficient, entropy_weight = inputs(seed, 6, 16, 131)
    coefficient[[0, 3]] = 0.0
    entropy_weight[[0, 3, 4]] = 0.0
    case = hidden, weight, targets, coefficient, entropy_weight
    logp, entropy, d_hidden, d_weight = one_pass(*case, implementation=implementation)
    expected = oracle(*case)
    kept = [1, 2, 4, 5]
    assert logp.isnan().tolist() == [True, False, False, True, False, False]
    assert entropy.isnan().tolist() == logp.isnan().tolist()
    assert_close(
        (logp[kept], entropy[kept], d_hidden, d_weight),
        (expected[0][kept], expected[1][kept], *expected[2:]),
        torch.float32,
        implementation,
    )
    some = torch.where(torch.arange(6) == 1, IGNORED, targets)
    assert one_pass(hidden, weight, some, *case[3:], implementation=implementation)[0].isnan()[1]
    nothing = one_pass(hidden, weight, targets, coefficient * 0, entropy_weight * 0)
    assert nothing[0].isnan().all()
    assert not nothing[2].any()
    assert not nothing[3].any()


@implementations
def test_the_weight_gradient_is_added(implementation, seed):
    case = inputs(seed, 5, 8, 33)
    d_weight = torch.full((33, 8), 2.0)
    hidden, weight, targets, coefficient, entropy_weight = case
    objective = Objective(coefficient, torch.ones(5), entropy_weight)
    linear_policy_loss(
        *(hidden, weight, targets, objective, d_weight), implementation=implementation
    )
    assert torch.allclose(
        d_weight - 2.0, one_pass(*case, implementation=implementation)[3], atol=1e-5
    )


def test_the_number_of_threads_changes_no_bit(seed, monkeypatch):
    """Of bf16 inputs, whose products are ours where the processor has what they need."""
    if not _kernels.has_bf16_product():
        pytest.skip("this processor has no AVX-512-BF16")
    hidden, weight, targets, *_ = inputs(seed, 70, 230, 3001, torch.bfloat16)
    case = hidden, weight, targets, make_objective("plain", seed, targets.float())
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        results.append(policy_loss(*case, implementation="cpu", chunk=32))
    for result in results[1:]:
        assert_bitwise_equal(result, results[0])


@implementations
@dtypes
def test_two_runs_are_bitwise_equal(implementation, dtype, seed):
    hidden, weight, targets, *_ = inputs(seed, 70, 24, 1003, dtype)
    logp, _ = chosen_logp(hidden, weight, targets)
    case = hidden, weight, targets, make_objective("clip with all", seed, logp)
    assert_bitwise_equal(
        *(policy_loss(*case, implementation=implementation, chunk=32) for _ in range(2))
    )


def assert_bitwise_equal(one, other):
    """Results and d weights."""
    (result, d_weight), (again, d_weight_again) = one, other
    assert torch.equal(d_weight, d_weight_again)
    for a, b in zip(astuple(result), astuple(again), strict=True):
        assert torch.equal(a.nan_to_num(7e7), b.nan_to_num(7e7))
