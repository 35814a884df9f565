"""Inputs of the head's operations, and what fp64 autograd says about them."""

import pytest
import torch

IMPLEMENTATIONS = ["torch", "cpu"]
implementations = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)

# Named bounds on relative Frobenius errors, see azr_fast.ops.linear_policy_loss.
LOGP = {torch.float32: 2e-5, torch.bfloat16: 3e-2}
GRAD = {torch.float32: 2e-5, torch.bfloat16: 1e-2}
# Of few random tokens, whose error is at times that of a single one: a logit of 8 to 16 is rounded
# by up to 0.03. Averages over more tokens keep to GRAD.
GRAD_OF_FEW = {torch.float32: 2e-5, torch.bfloat16: 4e-2}


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


def assert_close(got, expected, dtype, gradient=GRAD_OF_FEW):
    bounds = LOGP[dtype], LOGP[dtype], gradient[dtype], gradient[dtype]
    for value, reference, bound in zip(got, expected, bounds, strict=True):
        assert value.shape == reference.shape
        assert error(value, reference) <= bound
