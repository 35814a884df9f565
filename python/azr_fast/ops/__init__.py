"""Losses and log-probabilities of a language model's head, for any torch loop.

The functions have the names of the modules that they come from, and are what these names mean here.
Each has a choice of implementation; the torch versions are the oracles. `LinearPolicyLoss` is the
policy loss as a `torch.nn.Module`.
"""

from azr_fast.ops.group_advantage import group_advantage
from azr_fast.ops.linear_logprob import TokenLogprobs, linear_logprob
from azr_fast.ops.linear_policy_loss import PolicyLoss, linear_policy_loss
from azr_fast.ops.objective import Objective
from azr_fast.ops.policy_module import LinearPolicyLoss, TrainingLoss
from azr_fast.ops.selective_logprob import selective_logprob

__all__ = [
    "LinearPolicyLoss",
    "Objective",
    "PolicyLoss",
    "TokenLogprobs",
    "TrainingLoss",
    "group_advantage",
    "linear_logprob",
    "linear_policy_loss",
    "selective_logprob",
]
