"""What both operations refuse, by name and before anything is computed or written."""

import pytest
import torch
from head_cases import implementations, inputs

from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.linear_policy_loss import linear_policy_loss

NAMES = ("hidden", "weight", "targets", "coefficient", "entropy_weight")

BAD_HEADS = [
    (
        "targets must lie in [0, 33) or be -100, not 0 … 33",
        {"targets": torch.tensor([0, 1, 2, 33])},
    ),
    (
        "targets must lie in [0, 33) or be -100, not -1 … 2",
        {"targets": torch.tensor([-100, 1, 2, -1])},
    ),
    (
        "targets must be int32 or int64, not torch.int16",
        {"targets": torch.zeros(4, dtype=torch.int16)},
    ),
    ("one target per hidden state", {"targets": torch.zeros(5, dtype=torch.int64)}),
    (
        "hidden must be bfloat16 or float32",
        {"hidden": torch.zeros(4, 8).double(), "weight": torch.zeros(33, 8).double()},
    ),
    ("hidden and weight differ in dtype", {"hidden": torch.zeros(4, 8).bfloat16()}),
    ("hidden and weight differ in width", {"hidden": torch.zeros(4, 9)}),
    ("hidden and weight must have two dimensions", {"hidden": torch.zeros(4)}),
    (
        "weight is on meta, not on cpu",
        {"weight": torch.zeros(33, 8, device="meta")},
    ),
    ("targets is on meta", {"targets": torch.zeros(4, dtype=torch.int64, device="meta")}),
    ("temperatures must be positive and finite", {"temperature": 0.0}),
    ("temperatures must be positive and finite", {"temperature": -1.0}),
    ("temperatures must be positive and finite", {"temperature": float("nan")}),
    (
        "temperatures must be positive and finite",
        {"temperature": torch.tensor([1.0, 1.0, torch.inf, 1.0])},
    ),
    ("one temperature per target", {"temperature": torch.ones(3)}),
    ("temperature must be float32", {"temperature": torch.ones(4).double()}),
    ("chunk must be positive, not 0", {"chunk": 0}),
]

BAD_LOSSES = [
    (
        "coefficient holds nan or inf: check the advantages",
        {"coefficient": torch.tensor([0.0, 1.0, torch.nan, 1.0])},
    ),
    ("entropy_weight holds nan or inf", {"entropy_weight": torch.full((4,), torch.inf)}),
    ("one coefficient per target", {"coefficient": torch.zeros(3)}),
    ("coefficient must be float32", {"coefficient": torch.zeros(4).double()}),
    ("coefficient is on meta", {"coefficient": torch.zeros(4, device="meta")}),
    ("d_weight must be float32", {"d_weight": torch.zeros(33, 8).bfloat16()}),
    ("d_weight must have the shape of weight", {"d_weight": torch.zeros(8, 33)}),
    ("d_weight is on meta, not on cpu", {"d_weight": torch.zeros(33, 8, device="meta")}),
]


def refusal(operation, good, bad, implementation):
    """The text of the ValueError with `bad` in place of what is good."""
    arguments = [bad.get(name, value) for name, value in good.items()]
    options = {name: value for name, value in bad.items() if name not in good}
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the callers compare the text
        operation(*arguments, implementation=implementation, **options)
    return str(refused.value)


@implementations
@pytest.mark.parametrize(("message", "bad"), [*BAD_HEADS, *BAD_LOSSES])
def test_bad_input_of_the_loss_is_refused_by_name(message, bad, implementation, seed):
    good = dict(zip(NAMES, inputs(seed, 4, 8, 33), strict=True)) | {"d_weight": torch.zeros(33, 8)}
    assert message in refusal(linear_policy_loss, good, bad, implementation)
    assert not good["d_weight"].any()


@implementations
@pytest.mark.parametrize(("message", "bad"), BAD_HEADS)
def test_bad_input_of_the_log_probs_is_refused_by_name(message, bad, implementation, seed):
    good = dict(zip(NAMES[:3], inputs(seed, 4, 8, 33), strict=False))
    assert message in refusal(linear_logprob, good, bad, implementation)
