"""Log-probabilities and entropies from hidden states on a CPU, forward alone: ours against others.

    python benchmarks/linear_logprob.py --output results.json

Bf16 hidden states and head; contestants take turns, reported are medians and ratios to ours. TRL
takes part where it can be imported (see `kernel_peers`). `difference` is the largest distance of a
log-probability to ours, whose logits stay fp32.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
from cpu_contest import MODELS, Shape, Times, about, contest, options, print_table, write
from kernel_peers import trl_statistics

from azr_fast.ops.linear_logprob import linear_logprob

Statistics = tuple[torch.Tensor, torch.Tensor]  # log-probabilities, entropies
Contestant = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Statistics]


def ours(implementation: str) -> Contestant:
    return lambda hidden, weight, targets: linear_logprob(
        hidden, weight, targets, implementation=implementation
    )


def plain(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> Statistics:
    logp = (hidden @ weight.T).float().log_softmax(1)
    return logp.gather(1, targets[:, None])[:, 0], -(logp.exp() * logp).sum(1)


CONTESTANTS: dict[str, Contestant] = {
    "ours: C++": ours("cpu"),
    "ours: torch": ours("torch"),
    "logits, log_softmax": plain,
}
if find_spec("trl"):
    CONTESTANTS["TRL's chunked log-probabilities"] = trl_statistics


@torch.no_grad()
def run_model(model: str, shape: Shape, repeats: int) -> Times:
    torch.manual_seed(0)
    hidden = torch.randn(shape.tokens, shape.width, dtype=torch.bfloat16) * (3 / shape.width**0.5)
    weight = torch.randn(shape.vocabulary, shape.width, dtype=torch.bfloat16)
    given = hidden, weight, torch.randint(shape.vocabulary, (shape.tokens,))
    times = contest(
        {name: lambda run=run: run(*given) for name, run in CONTESTANTS.items()}, repeats
    )
    reference = CONTESTANTS["ours: C++"](*given)[0]
    for name, run in CONTESTANTS.items():
        times[name]["difference"] = (run(*given)[0] - reference).abs().max().item()
    print_table(f"{model}, {shape.tokens} tokens", times)
    return times


def main() -> None:
    arguments = options(__doc__).parse_args()
    models = {}
    for model, shape in MODELS.items():
        tokens = arguments.tokens or shape.tokens
        models[model] = run_model(model, shape._replace(tokens=tokens), arguments.repeats)
    write(arguments.output, about(arguments.repeats) | {"models": models})


if __name__ == "__main__":
    main()
