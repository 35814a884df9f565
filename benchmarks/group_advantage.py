"""Advantages of a million packed tokens on a CPU: ours against a loop over groups.

    python benchmarks/group_advantage.py --output results.json

4,096 answers to 512 prompts, GRPO's arithmetic; contestants take turns, reported are medians and
ratios to ours. `difference` is the largest distance of an advantage to ours.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from cpu_contest import about, contest, options, print_table, write

from azr_fast.ops.group_advantage import group_advantage

ANSWERS, PROMPTS = 4096, 512
Contestant = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def ours(implementation: str) -> Contestant:
    return lambda rewards, groups, lengths: group_advantage(
        rewards, groups, lengths, estimator="grpo", implementation=implementation
    )


def loop(rewards: torch.Tensor, groups: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Group after group, as trainers without such a kernel do."""
    advantage = torch.zeros_like(rewards)
    for group in groups.unique():
        members = groups == group
        mine = rewards[members]
        if len(mine) > 1 and mine.std(correction=0) > 0:
            advantage[members] = (mine - mine.mean()) / mine.std(correction=0)
    return advantage.float().repeat_interleave(lengths)


CONTESTANTS: dict[str, Contestant] = {
    "ours: C++": ours("cpu"),
    "ours: torch": ours("torch"),
    "a loop over groups in torch": loop,
}


def main() -> None:
    arguments = options(__doc__).parse_args()
    torch.manual_seed(0)
    mean = (arguments.tokens or 1 << 20) // ANSWERS
    given = (
        torch.randn(ANSWERS, dtype=torch.float64),
        torch.randint(PROMPTS, (ANSWERS,)),
        torch.randint(max(2 * mean, 2), (ANSWERS,)),
    )
    runs = {name: lambda run=run: run(*given) for name, run in CONTESTANTS.items()}
    times = contest(runs, arguments.repeats)
    reference = CONTESTANTS["ours: C++"](*given)
    for name, run in CONTESTANTS.items():
        times[name]["difference"] = (run(*given) - reference).abs().max().item()
    print_table(f"{int(given[2].sum()):,} tokens of {ANSWERS:,} answers", times)
    write(arguments.output, about(arguments.repeats) | {"times": times})


if __name__ == "__main__":
    main()
