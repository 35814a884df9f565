"""What tests run in the interpreter's process: memory that kernels are given is full of nan."""

import torch

from azr_fast.ops.head import Head
from azr_fast.ops.linear_logprob import _LinearLogprob
from azr_fast.ops.linear_policy_loss import one_pass as one_pass_of
from azr_fast.ops.products import TorchProducts, over
from azr_fast.ops.rows_triton import TritonRows
from azr_fast.ops.statistics import RowStatistics
from azr_fast.triton_kernels import linear_logprob

torch.use_deterministic_algorithms(True)  # fills what torch.empty returns with nan


def head_statistics(hidden, weight, targets, scale, config, programs):
    assert torch.empty(1).isnan()
    statistics = RowStatistics(
        *linear_logprob.statistics(hidden, weight, targets, scale, config, programs)
    )
    return statistics.logp(), statistics.entropy(), statistics.shift_N


def row_statistics(logits, targets, scale):
    statistics = TritonRows().statistics(logits, targets, scale)
    return statistics.logp(), statistics.entropy(), statistics.shift_N


def policy_loss(logits, targets, scale, objective, dtype=None):
    """Results [6, C] and d logits, which as another dtype lie over the same rows."""
    results = torch.empty(6, targets.numel())
    d_logits = over(logits, dtype or logits.dtype)
    TritonRows().policy_loss(logits, targets, scale, objective, results, d_logits)
    return results, d_logits.clone()


def one_pass(hidden, weight, targets, scale, objective, chunk):
    """The whole operation, its rows by the kernels."""
    d_weight = torch.zeros(weight.shape)
    head = Head(hidden, weight, targets, scale, TritonRows(), TorchProducts(), chunk)
    return one_pass_of(head, objective, d_weight), d_weight


def logprob(hidden, weight, targets, scale, chunk):
    """The whole operation forward and backward, with a gradient of 1 for each result."""
    hidden, weight = (t.detach().requires_grad_() for t in (hidden, weight))
    head = Head(hidden, weight, targets, scale, TritonRows(), TorchProducts(), chunk)
    logp, entropy = _LinearLogprob.apply(hidden, weight, head)
    (logp.sum() + entropy.sum()).backward()
    return logp.detach(), entropy.detach(), hidden.grad, weight.grad
