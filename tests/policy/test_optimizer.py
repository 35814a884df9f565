"""The optimizer by itself, on every device that is there."""

import pytest
import torch

from azr_fast.config.schema import UpdateConfig
from azr_fast.policy.optimizer import MasterAdamW

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def new_optimizer(device):
    weight = torch.nn.Parameter(torch.ones(5, device=device, dtype=torch.bfloat16))
    return weight, MasterAdamW([("weight", weight)], UpdateConfig(lr=0.1))


def learn(weight, optimizer, steps):
    for _ in range(steps):
        optimizer.begin()
        (weight.float() ** 3).sum().backward()
        optimizer.step(optimizer.norm())


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NO_GPU)])
def test_a_restored_optimizer_goes_on_as_the_first_would(device):
    first, second = new_optimizer(device), new_optimizer(device)
    learn(*first, 2)
    second[1].restore({name: tensor.cpu().clone() for name, tensor in first[1].state().items()})
    for weight, optimizer in (first, second):
        learn(weight, optimizer, 2)
    assert second[1].steps == 4
    assert torch.equal(first[0], second[0])
