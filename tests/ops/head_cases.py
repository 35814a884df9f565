"""Inputs of the head's operations, and what fp64 autograd says about them."""

import pytest
import torch

from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.objective import Objective

IMPLEMENTATIONS = ["torch", "cpu"]
implementations = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)

# Bounds on relative Frobenius errors, see azr_fast.ops.linear_policy_loss: log-probs, entropies,
# gradients, and gradients of few random tokens, whose error is at times that of a single one.
FP32 = 2e-5, 1e-4, 1e-5, 2e-5
BF16 = 2e-5, 1e-4, 3e-3, 2**-8  # d logits and d hidden rounded to bf16
ROUNDED_LOGITS = 3e-2, 3e-2, 1e-2, 4e-2  # a logit of 8 to 16 by up to 0.03


def bounds(dtype, implementation):
    if dtype == torch.float32:
        return FP32
    from azr_fast import _kernels

    return BF16 if implementation == "cpu" and _kernels.has_bf16_product() else ROUNDED_LOGITS


def inputs(seed, tokens, width, vocabulary, dtype=torch.float32, scale=3.0):
    """Hidden states, weight (logits of standard deviation `scale`), targets and coefficients."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    hidden = (normal(tokens, width) * scale / width**0.5).to(dtype)
    weight = normal(vocabulary, width).to(dtype)
    targets = torch.randint(vocabulary, (tokens,), generator=generator)
    return hidden, weight, targets, normal(tokens), normal(tokens).abs() * 0.1


def temperatures(seed, tokens):
    return torch.empty(tokens).uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(seed))


def oracle(hidden, weight, targets, coefficient, entropy_weight, temperature=1.0):
    """Log p, entropy and the gradients of -sum(coefficient * log p + entropy_weight * entropy)."""
    hidden, weight = (t.double().requires_grad_() for t in (hidden, weight))
    if isinstance(temperature, torch.Tensor):
        temperature = temperature.double()[:, None]
    logp = (hidden @ weight.T / temperature).log_softmax(1)
    chosen = logp.gather(1, targets.long()[:, None])[:, 0]
    entropy = -(logp.exp() * logp).sum(1)
    loss = -(coefficient.double() * chosen + entropy_weight.double() * entropy).sum()
    loss.backward()
    return chosen.detach(), entropy.detach(), hidden.grad, weight.grad


def error(got, expected):
    return ((got.double() - expected).norm() / expected.norm().clamp_min(1e-30)).item()


def assert_close(got, expected, dtype, implementation, few=True):
    """Log-probs, entropies and both gradients."""
    logp, entropy, *gradient = bounds(dtype, implementation)
    limits = logp, entropy, gradient[few], gradient[few]
    for value, reference, limit in zip(got, expected, limits, strict=True):
        assert value.shape == reference.shape
        assert error(value, reference) <= limit


def autograd(hidden, weight, targets, coefficient, entropy_weight, **options):
    """What `oracle` returns, by `linear_logprob` and a loss in torch."""
    hidden, weight = (t.detach().requires_grad_() for t in (hidden, weight))
    logp, entropy = linear_logprob(hidden, weight, targets, **options)
    (-(coefficient * logp + entropy_weight * entropy).sum()).backward()
    return logp.detach(), entropy.detach(), hidden.grad, weight.grad


def one_pass(hidden, weight, targets, coefficient, entropy_weight, **options):
    """What `oracle` returns, by `linear_policy_loss` of the plain objective."""
    objective = Objective(coefficient, torch.ones_like(coefficient), entropy_weight)
    d_weight = torch.zeros(weight.shape)
    result = linear_policy_loss(hidden, weight, targets, objective, d_weight, **options)
    return result.logp_N, result.entropy_N, result.d_hidden_NH, d_weight
