"""Log-probabilities, entropies and the gradient of given logits on a CPU: ours against torch's.

    python benchmarks/selective_logprob.py --output results.json

A quarter of each model's tokens, logits in bf16 and in fp32; contestants take turns, reported are
medians and ratios to ours. `difference` is the relative Frobenius distance of the gradient to ours.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from cpu_contest import MODELS, Times, about, contest, options, print_table, write

from azr_fast.ops.selective_logprob import selective_logprob

Contestant = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def ours(implementation: str) -> Contestant:
    return lambda logits, targets: selective_logprob(logits, targets, implementation=implementation)


def plain(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    logp = logits.float().log_softmax(1)
    return logp.gather(1, targets[:, None])[:, 0], -(logp.exp() * logp).sum(1)


CONTESTANTS: dict[str, Contestant] = {
    "ours: C++": ours("cpu"),
    "ours: torch": ours("torch"),
    "log_softmax, gather, autograd": plain,
}


def gradient(run: Contestant, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    leaf = logits.detach().requires_grad_()
    logp, entropy = run(leaf, targets)
    (logp.sum() + 1e-3 * entropy.sum()).backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return leaf.grad


def run_shape(tokens: int, vocabulary: int, dtype: torch.dtype, repeats: int) -> Times:
    torch.manual_seed(0)
    given = 3 * torch.randn(tokens, vocabulary).to(dtype), torch.randint(vocabulary, (tokens,))
    times = contest(
        {name: lambda run=run: gradient(run, *given) for name, run in CONTESTANTS.items()}, repeats
    )
    reference = gradient(CONTESTANTS["ours: C++"], *given).float()
    for name, run in CONTESTANTS.items():
        distance = (gradient(run, *given).float() - reference).norm() / reference.norm()
        times[name]["difference"] = distance.item()
    print_table(f"{tokens} x {vocabulary}, {dtype}", times)
    return times


def main() -> None:
    arguments = options(__doc__).parse_args()
    models: dict[str, dict[str, Times]] = {}
    for model, shape in MODELS.items():
        tokens = arguments.tokens or shape.tokens // 4
        models[model] = {
            str(dtype): run_shape(tokens, shape.vocabulary, dtype, arguments.repeats)
            for dtype in (torch.bfloat16, torch.float32)
        }
    write(arguments.output, about(arguments.repeats) | {"models": models})


if __name__ == "__main__":
    main()
