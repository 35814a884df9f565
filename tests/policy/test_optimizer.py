"""The optimizer by itself, on every device that is there."""

import pytest
import torch

from azr_fast.config.schema import UpdateConfig
from azr_fast.policy.optimizer import MasterAdamW, round_at_random

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def new_optimizer(device, dtype=torch.bfloat16, **keys):
    weight = torch.nn.Parameter(torch.ones(5, device=device, dtype=dtype))
    return weight, MasterAdamW([("weight", weight)], UpdateConfig(lr=0.1, **keys))


def learn(weight, optimizer, steps):
    for _ in range(steps):
        optimizer.begin()
        (weight.float() ** 3).sum().backward()
        optimizer.step(optimizer.norm())


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NO_GPU)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("moments", ["float32", "bfloat16"])
def test_a_restored_optimizer_goes_on_as_the_first_would(device, dtype, moments):
    first, second = (new_optimizer(device, dtype, moments=moments) for _ in range(2))
    learn(*first, 2)
    second[1].restore({name: tensor.cpu().clone() for name, tensor in first[1].state().items()})
    for weight, optimizer in (first, second):
        learn(weight, optimizer, 2)
    assert second[1].steps == 4
    assert torch.equal(first[0], second[0])


def test_an_fp32_weight_is_its_own_master():
    weight, optimizer = new_optimizer("cpu", torch.float32)
    learn(weight, optimizer, 1)
    assert optimizer.state()["master.weight"].data_ptr() == weight.data_ptr()
    assert not torch.equal(weight, torch.ones(5))


def test_random_rounding_is_right_on_average_and_never_far():
    generator = torch.Generator().manual_seed(0)
    exact = torch.randn(1000, generator=generator) * 10.0 ** torch.randint(-20, 20, (1000,))
    rounded = torch.stack([round_at_random(exact, generator).float() for _ in range(2000)])
    relative = rounded / exact - 1
    assert relative.abs().max() < 2**-7  # one of the two neighbours in bf16
    assert relative.mean(0).abs().max() < 5 * 2**-8 / 2000**0.5
    assert torch.equal(round_at_random(exact.bfloat16().float(), generator), exact.bfloat16())


def test_a_second_moment_in_bf16_decays():
    """By a thousandth each step: less than bf16 can tell apart, rounded to the nearest."""
    weight = torch.nn.Parameter(torch.zeros(4096))
    optimizer = MasterAdamW([("weight", weight)], UpdateConfig(lr=1e-9, moments="bfloat16"))
    for step in range(301):
        optimizer.begin()
        optimizer.gradient(weight).fill_(0.0 if step else 0.01)
        optimizer.step(optimizer.norm())
    left = optimizer.state()["exp_avg_sq.weight"].float().mean()
    assert left == pytest.approx(1e-3 * 0.01**2 * 0.999**300, rel=0.01)


def losses(moments, steps=40):
    """Of a small regression on random rows."""
    torch.manual_seed(0)
    inputs = torch.randn(512, 16)
    targets = inputs @ torch.randn(16, 4) / 4
    model = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.Tanh(), torch.nn.Linear(64, 4))
    keys = {"lr": 1e-2, "moments": moments}
    optimizer = MasterAdamW(model.named_parameters(), UpdateConfig(**keys))
    curve = []
    for step in range(steps):
        rows = torch.randperm(512, generator=torch.Generator().manual_seed(step))[:64]
        optimizer.begin()
        (model(inputs[rows]) - targets[rows]).square().mean().backward()
        optimizer.step(optimizer.norm())
        curve.append((model(inputs) - targets).square().mean().item())
    return curve


def test_the_loss_falls_alike_with_moments_in_bf16():
    exact, rounded = losses("float32"), losses("bfloat16")
    assert exact[-1] < 0.7 * exact[0]
    assert rounded == pytest.approx(exact, rel=0.05)
    assert rounded != exact
