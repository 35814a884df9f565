"""While a C++ kernel works, other threads of Python go on."""

import threading
import time
from functools import partial

import pytest
import torch

from azr_fast import _kernels

ROWS, WORDS = 10_000, 50257


def of_rows():
    """One row that stands for many: logits, targets and scales."""
    logits = torch.randn(1, WORDS).expand(ROWS, -1)
    return logits, torch.zeros(ROWS, dtype=torch.int64), torch.ones(ROWS)


def statistics():
    return partial(_kernels.statistics_rows, *of_rows(), *torch.empty(4, ROWS), 1)


def policy_loss():
    logits, *per_row = of_rows()
    per_token, results = torch.ones(7, ROWS), torch.empty(6, ROWS)
    given = logits, *per_row, per_token, results, logits
    return partial(_kernels.policy_loss_rows, *given, 0, 1.0, 1.0, 0.0, False, 1)


def selective_forward():
    return partial(_kernels.selective_forward, *of_rows(), -100, *torch.empty(4, ROWS), 1)


def selective_backward():
    given = of_rows()
    return partial(_kernels.selective_backward, *given, -100, *torch.ones(5, ROWS), given[0], 1)


def product():
    if not _kernels.has_bf16_product():
        pytest.skip("this processor has no AVX-512-BF16")
    a, b = torch.randn(2, 3000, 4000).bfloat16()
    return partial(_kernels.bf16_product, a, b, torch.empty(3000, 3000), False, 1)


def advantages():
    count = 1_000_000
    keys, lengths = torch.randint(count, (count,)), torch.zeros(count, dtype=torch.int64)
    given = torch.randn(count).double(), keys, lengths, torch.empty(0)
    return partial(_kernels.group_advantage, *given, False, False, False, True)


KERNELS = statistics, policy_loss, selective_forward, selective_backward, product, advantages


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_lock_is_released(kernel):
    """This thread gets many turns during the call; with the lock held, one on each side of it."""
    call, inside, turns = kernel(), threading.Event(), 0

    def work():
        inside.set()
        call()
        inside.clear()

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        turns += inside.is_set()
        time.sleep(0.001)
    assert turns > 10
