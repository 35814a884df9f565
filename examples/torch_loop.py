"""The one-pass policy loss in a plain torch loop: no logits are kept, no autograd head is needed.

A toy policy learns which token is wanted after each token, by rewards alone:

    python examples/torch_loop.py
"""

import torch

from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.objective import Objective

VOCABULARY, WIDTH, BATCH, STEPS = 50, 32, 256, 150


def wanted(seen_N):
    """The token that is paid for."""
    return (7 * seen_N + 3) % VOCABULARY


def sample(hidden_NH, head_VH):
    """A token for each position, and its log-probability."""
    targets_N = torch.multinomial((hidden_NH @ head_VH.T).softmax(-1), 1)[:, 0]
    return targets_N, linear_logprob(hidden_NH, head_VH, targets_N).logp_N


def train(seed=0):
    """Rewards by step, from about 1/50 up to 3/4."""
    torch.manual_seed(seed)
    body = torch.nn.Embedding(VOCABULARY, WIDTH)
    head_VH = torch.nn.Parameter(torch.randn(VOCABULARY, WIDTH) / WIDTH**0.5)
    optimizer = torch.optim.Adam([body.weight, head_VH], lr=0.05)
    rewards = []
    for _ in range(STEPS):
        seen_N = torch.randint(VOCABULARY, (BATCH,))
        hidden_NH = body(seen_N)
        targets_N, behaviour_logp_N = sample(hidden_NH.detach(), head_VH.detach())
        reward_N = (targets_N == wanted(seen_N)).float()
        objective = Objective(
            advantage_N=reward_N - reward_N.mean(),
            weight_N=torch.full((BATCH,), 1 / BATCH),
            entropy_weight=0.02 / BATCH,
            behaviour_logp_N=behaviour_logp_N,
            correction="clip",
        )
        head_VH.grad = torch.zeros_like(head_VH)  # the loss adds to it, in float32
        out = linear_policy_loss(
            hidden_NH.detach(), head_VH.detach(), targets_N, objective, head_VH.grad
        )
        body.weight.grad = None
        hidden_NH.backward(out.d_hidden_NH)  # and so on into whatever model is below
        optimizer.step()
        rewards.append(reward_N.mean().item())
    return rewards


def main():
    rewards = train()
    for step in (1, STEPS // 2, STEPS):
        print(f"step {step}: {rewards[step - 1]:.0%} of the tokens are the wanted ones")


if __name__ == "__main__":
    main()
