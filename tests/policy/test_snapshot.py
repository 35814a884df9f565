"""A copy of a policy's state takes the memory that was counted for it."""

import torch

from azr_fast.policy.snapshot import Snapshot


def test_what_is_held_once_is_copied_once():
    """Tied weights, and weights that are their own masters."""
    weight, moment = torch.ones(4, 8), torch.zeros(4, 8)
    held = {"embedding": weight, "head": weight}
    state = {"master.embedding": weight, "exp_avg.embedding": moment}
    snapshot = Snapshot(None, held, state, {})
    copy = snapshot.copied()
    assert snapshot.bytes == copy.bytes == weight.nbytes + moment.nbytes
    weight += 1
    assert copy.weights["head"] is copy.optimizer["master.embedding"]
    assert copy.weights["embedding"].eq(1).all()
