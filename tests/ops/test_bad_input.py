"""Every operation refuses, by name and before anything is written, what would give a wrong number;
and takes tensors however they lie in memory."""

from dataclasses import fields

import pytest
import torch

from azr_fast.ops.group_advantage import group_advantage
from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.objective import Objective
from azr_fast.ops.selective_logprob import selective_logprob

WORDS = 33
NAN, INF = torch.nan, torch.inf
LEAVES = {"hidden_NH", "weight_VH", "logits_TV"}
OBJECTIVE = {field.name for field in fields(Objective)}


def policy_loss(*head, **given):
    """`linear_policy_loss` with the objective's fields among its arguments."""
    objective = Objective(**{name: given.pop(name) for name in OBJECTIVE & set(given)})
    d_weight = given.pop("d_weight_VH")
    result = linear_policy_loss(*head, objective=objective, d_weight_VH=d_weight, **given)
    return result.logp_N, result.loss_N, result.d_hidden_NH, d_weight


def ids(*values):
    return torch.tensor(values, dtype=torch.int64)


def make_good(operation):
    """Arguments of four tokens that are taken."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    head = {"hidden_NH": normal(4, 8), "weight_VH": normal(WORDS, 8), "targets_N": ids(0, 1, 2, 32)}
    return {
        policy_loss: head
        | {
            "advantage_N": normal(4),
            "weight_N": torch.tensor([1.0, 1.0, 0.0, 1.0]),
            "behaviour_logp_N": normal(4),
            "reference_logp_N": normal(4),
            "d_weight_VH": torch.zeros(WORDS, 8),
        },
        linear_logprob: head,
        selective_logprob: {"logits_TV": normal(4, WORDS), "targets_T": ids(0, 1, 2, 32)},
        group_advantage: {
            "rewards_S": normal(4),
            "groups_S": ids(5, 6, 5, 6),
            "lengths_S": ids(1, 2, 3, 0),
            "estimator": "grpo",
        },
    }[operation]


def per_token(name, field, finite=True):
    """What is refused of each float32 tensor with one element per token."""
    yield f"one {name} per target is needed", {field: torch.ones(3)}
    yield f"one {name} per target is needed", {field: torch.ones(4, 1)}
    yield f"{name} must be float32, not torch.float64", {field: torch.ones(4).double()}
    yield f"{name} must be float32, not torch.bool", {field: torch.ones(4).bool()}
    yield f"{name} is on meta, not on cpu", {field: torch.ones(4, device="meta")}
    if finite:
        for value in (NAN, INF, -INF):
            broken = torch.tensor([1.0, value, 1.0, 1.0])
            yield f"{name} holds nan or inf: check the", {field: broken}


def of_head():
    far, before = ids(0, 1, 2, 33), ids(-100, 1, 2, -1)
    yield "targets must lie in [0, 33) or be -100, not 0 … 33", {"targets_N": far}
    yield "targets must lie in [0, 33) or be -100, not -1 … 2", {"targets_N": before}
    yield "targets must be int32 or int64, not torch.int16", {"targets_N": ids(0, 1, 2, 3).short()}
    yield "targets must be int32 or int64, not torch.float32", {"targets_N": torch.zeros(4)}
    yield "one target per hidden state is needed", {"targets_N": ids(0, 1, 2, 3, 4)}
    yield "targets is on meta, not on cpu", {"targets_N": ids(0, 1, 2, 3).to("meta")}
    double = {"hidden_NH": torch.zeros(4, 8).double(), "weight_VH": torch.zeros(33, 8).double()}
    yield "hidden must be bfloat16 or float32, not torch.float64", double
    yield "hidden and weight differ in dtype", {"hidden_NH": torch.zeros(4, 8).bfloat16()}
    yield "hidden and weight differ in width", {"hidden_NH": torch.zeros(4, 9)}
    yield "hidden and weight must have two dimensions", {"hidden_NH": torch.zeros(4)}
    yield "weight is on meta, not on cpu", {"weight_VH": torch.zeros(WORDS, 8, device="meta")}
    for value in (0.0, -1.0, NAN, INF, torch.tensor([1.0, 1.0, INF, 1.0])):
        yield "temperatures must be positive and finite", {"temperature": value}
    yield from per_token("temperature", "temperature", finite=False)
    differentiable = torch.ones(4, requires_grad=True)
    yield "temperature is not differentiable: detach it", {"temperature": differentiable}
    yield "chunk must be positive, not 0", {"chunk": 0}


def of_objective():
    yield from per_token("advantage", "advantage_N")
    yield from per_token("token weight", "weight_N")
    yield from per_token("entropy_weight", "entropy_weight")
    yield from per_token("behaviour_logp", "behaviour_logp_N")
    yield from per_token("reference_logp", "reference_logp_N")
    yield from per_token("low", "low")
    yield from per_token("high", "high")
    yield "entropy_weight holds nan or inf", {"entropy_weight": NAN}
    for value in (-0.1, 1.1, torch.tensor([0.1, 0.1, 0.1, 1.5])):
        yield "low must lie in [0, 1]", {"low": value}
    yield "high must not be negative", {"high": -0.1}
    yield "high must not be negative", {"high": torch.tensor([0.1, 0.1, -0.1, 0.1])}
    yield "correction must be one of none, clip, truncate, not ppo", {"correction": "ppo"}
    for correction in ("clip", "truncate"):
        lacking = {"correction": correction, "behaviour_logp_N": None}
        yield f"correction {correction} compares with behaviour_logp: pass the log-probs", lacking
    for value in (1.0, 0.5, NAN, INF):
        yield "dual must be above 1 and finite", {"correction": "clip", "dual": value}
    yield "dual must be above 1 and finite, with correction clip", {"dual": 3.0}
    for value in (0.0, -1.0, NAN, INF):
        yield "cap must be positive and finite", {"correction": "truncate", "cap": value}
    yield "kl_weight must be finite, not nan", {"kl_weight": NAN}
    lacking = {"kl_weight": 0.1, "reference_logp_N": None}
    yield "kl_weight needs reference_logp: pass the reference's log-probs", lacking
    yield "d_weight must be float32", {"d_weight_VH": torch.zeros(WORDS, 8).bfloat16()}
    yield "d_weight must have the shape of weight", {"d_weight_VH": torch.zeros(8, WORDS)}
    yield "d_weight is on meta", {"d_weight_VH": torch.zeros(WORDS, 8, device="meta")}


def of_logits():
    wanted = "targets must lie in [0, 33) or equal ignore_index = -100"
    yield f"{wanted}, not 33", {"targets_T": ids(0, 1, 2, 33)}
    yield f"{wanted}, not -1", {"targets_T": ids(0, 1, -1, 2).int()}
    yield "targets must be int32 or int64, not torch.float32", {"targets_T": torch.zeros(4)}
    yield "one target per row of logits is needed", {"targets_T": ids(0, 1, 2, 3, 4)}
    yield "targets is on meta, not on cpu", {"targets_T": ids(0, 1, 2, 3).to("meta")}
    yield "logits must have two dimensions", {"logits_TV": torch.zeros(4)}
    double = torch.zeros(4, WORDS).double()
    yield "logits must be float32 or bfloat16 or float16, not torch.float64", {"logits_TV": double}
    yield "logits have no columns", {"logits_TV": torch.zeros(4, 0)}
    for value in (0.0, -1.0, NAN, INF, 1e-60, torch.tensor([1.0, 1.0, -1.0, 1.0])):
        yield "temperature must be positive and finite in float32", {"temperature": value}
    yield from per_token("temperature", "temperature", finite=False)
    differentiable = torch.ones(4, requires_grad=True)
    yield "temperature is not differentiable: detach it", {"temperature": differentiable}


def of_groups():
    for value in (NAN, INF, -INF, 1e200):
        rewards = torch.tensor([0.0, value, 1.0, 1.0], dtype=torch.float64)
        yield "rewards hold nan, inf or numbers beyond 1e+150", {"rewards_S": rewards}
    half = torch.zeros(4).bfloat16()
    yield "rewards must be float32 or float64, not torch.bfloat16", {"rewards_S": half}
    yield "rewards must have one dimension", {"rewards_S": torch.zeros(4, 1)}
    yield "one group key per reward is needed", {"groups_S": ids(1, 2, 3)}
    yield "groups must be int32 or int64, not torch.int16", {"groups_S": ids(1, 2, 3, 4).short()}
    yield "groups is on meta, not on cpu", {"groups_S": ids(1, 2, 3, 4).to("meta")}
    yield "one length per reward is needed", {"lengths_S": ids(1, 2, 3)}
    yield "lengths must be int32 or int64, not torch.float32", {"lengths_S": torch.ones(4)}
    yield "lengths must not be negative", {"lengths_S": ids(1, 2, -3, 4)}
    names = "trr++, grpo, global, dr_grpo, rloo"
    yield f"estimator must be one of {names}, not gae", {"estimator": "gae"}
    weighted = {"estimator": "rloo", "token_weighted": True}
    yield "rloo weighs no sequence by its tokens", weighted


def of_choice():
    names = "auto, triton, cpu or torch"
    yield f"implementation must be {names}, not cuda", {"implementation": "cuda"}
    yield "implementation triton does not work on cpu", {"implementation": "triton"}


REFUSED = {
    policy_loss: (of_head, of_objective, of_choice),
    linear_logprob: (of_head, of_choice),
    selective_logprob: (of_logits, of_choice),
    group_advantage: (of_groups, of_choice),
}
CASES = [
    pytest.param(operation, message, bad, id=f"{operation.__name__}: {message}")
    for operation, sources in REFUSED.items()
    for source in sources
    for message, bad in source()
]
operations = pytest.mark.parametrize("operation", REFUSED, ids=lambda f: f.__name__)
implementations = pytest.mark.parametrize("implementation", ["torch", "cpu"])


@implementations
@pytest.mark.parametrize(("operation", "message", "bad"), CASES)
def test_bad_input_is_refused_by_name(operation, message, bad, implementation):
    good = make_good(operation)
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the text is compared below
        operation(**({"implementation": implementation} | good | bad))
    assert str(refused.value).startswith(message)
    assert not good.get("d_weight_VH", torch.zeros(1)).any()


def results_of(operation, arguments, implementation):
    """What the operation returns and, of a differentiable one, what comes back to its tensors."""
    leaves = {
        name: value.detach().requires_grad_()
        for name, value in arguments.items()
        if name in LEAVES and operation is not policy_loss
    }
    results = operation(**(arguments | leaves), implementation=implementation)
    if leaves:
        (results[0] * 2 - results[1]).sum().backward()
        return [value.detach() for value in results] + [leaf.grad for leaf in leaves.values()]
    return results if isinstance(results, tuple) else (results,)


def one_element_on(tensor):
    """Begins one element after an aligned address."""
    return tensor.new_empty(tensor.numel() + 1)[1:].view_as(tensor).copy_(tensor)


def every_other(tensor):
    return tensor.repeat_interleave(2, -1)[..., ::2]


def columns_first(tensor):
    return tensor.T.contiguous().T if tensor.ndim == 2 else tensor


@implementations
@operations
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", [one_element_on, every_other, columns_first])
def test_every_layout_gives_the_same(operation, layout, dtype, implementation):
    plain = make_good(operation)
    for name in LEAVES & set(plain):
        plain[name] = plain[name].to(dtype)
    laid_out = {
        name: layout(value) if isinstance(value, torch.Tensor) else value
        for name, value in plain.items()
    }
    expected = results_of(operation, plain, implementation)
    for got, wanted in zip(results_of(operation, laid_out, implementation), expected, strict=True):
        tolerance = 1e-5 if got.dtype == torch.float32 else 1e-2
        torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)


@implementations
def test_nan_in_log_probs_that_nothing_needs_is_no_fault(implementation):
    """The log-probs that an earlier pass returns are nan where it left tokens out."""
    good = make_good(policy_loss)
    options = {"correction": "clip", "kl_weight": 0.1, "implementation": implementation}
    expected = policy_loss(**good, **options)
    again = make_good(policy_loss)
    again["behaviour_logp_N"][2] = again["reference_logp_N"][2] = NAN  # of the masked token
    for got, wanted in zip(policy_loss(**again, **options), expected, strict=True):
        assert torch.equal(got.nan_to_num(7e7), wanted.nan_to_num(7e7))


@pytest.mark.parametrize("operation", [policy_loss, linear_logprob, selective_logprob])
@implementations
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64], ids=str)
def test_nothing_but_ignored_targets_is_no_fault(operation, dtype, implementation):
    good = make_good(operation)
    (targets,) = (name for name in good if name.startswith("targets"))
    good[targets] = torch.full((4,), -100, dtype=dtype)
    for value in results_of(operation, good, implementation):
        assert not value.nan_to_num().any()
