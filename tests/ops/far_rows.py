"""Row kernels on rows so far from each other that the last begins at element 2^31: what lies in
between takes no memory. For test_far_rows.py; Triton's kernels run in the interpreter's process."""

import mmap

import torch

from azr_fast.ops.objective import TokenObjective

DISTANCE = 2**30  # elements
NO_RESERVE = 0x4000  # MAP_NORESERVE of Linux: `mmap` has it from Python 3.13 on


def far_apart(matrix):
    rows, columns = matrix.shape
    size = (DISTANCE * (rows - 1) + columns) * matrix.element_size()
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
    room = torch.frombuffer(mmap.mmap(-1, size, flags), dtype=matrix.dtype)
    return room.as_strided(matrix.shape, (DISTANCE, 1)).copy_(matrix)


def loss_rows(rows, logits, targets, per_token, far):
    """Statistics, results and d logits of azr_fast.ops.rows.Rows, the gradient over the logits."""
    scale, results = torch.ones(len(logits)), torch.full((6, len(logits)), torch.nan)
    logits = far_apart(logits) if far else logits.clone()
    statistics = rows.statistics(logits, targets, scale)
    rows.policy_loss(logits, targets, scale, TokenObjective(per_token), results)
    return statistics.logp(), statistics.entropy(), results, logits.clone()


def selective_rows(rows, logits, targets, far):
    """All that azr_fast.ops.selective_logprob.Rows write."""
    d_logits, ones = torch.full_like(logits, torch.nan), torch.ones(len(logits))
    outputs = list(torch.full((4, len(logits)), torch.nan))
    if far:
        logits, d_logits = far_apart(logits), far_apart(d_logits)
    rows.forward(logits, targets, ones, -100, *outputs)
    rows.backward(logits, targets, ones, -100, *outputs[1:], ones, ones, d_logits)
    return *outputs, d_logits.clone()


def selective_rows_by_triton(*arguments, **options):
    from azr_fast.triton_kernels import selective_logprob

    return selective_rows(selective_logprob, *arguments, **options)
