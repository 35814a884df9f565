"""Time the one-pass policy head on a CPU: C++ rows against torch rows and against plain autograd.

    python benchmarks/linear_policy_loss.py --tokens 1024 2048 4096 --output results.json

Every repeat runs all contestants one after the other on the same inputs; reported are medians of
wall-clock and of CPU seconds (which other work on the machine disturbs less), and the ratios of the
medians to the C++ kernel's. `autograd` keeps the [T, V] logits, as a training step that calls
`model(...).logits` does.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from azr_fast import _kernels
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.rows import CpuRows, TorchRows

Inputs = tuple[torch.Tensor, ...]


def make_inputs(tokens: int, width: int, vocabulary: int) -> Inputs:
    """Bf16 hidden states and weight with logits of standard deviation 3, and fp32 coefficients."""
    torch.manual_seed(0)
    hidden = (torch.randn(tokens, width) * 3 / width**0.5).bfloat16()
    weight = torch.randn(vocabulary, width).bfloat16()
    targets = torch.randint(vocabulary, (tokens,))
    return hidden, weight, targets, torch.randn(tokens), torch.full((tokens,), 1e-3)


def one_pass(inputs: Inputs, d_weight: torch.Tensor, implementation: str) -> None:
    linear_policy_loss(*inputs, d_weight, implementation=implementation)  # type: ignore[misc]


def autograd(inputs: Inputs, d_weight: torch.Tensor) -> None:
    hidden, weight, targets, coefficient, entropy_weight = inputs
    hidden, weight = hidden.detach().requires_grad_(), weight.detach().requires_grad_()
    logp = (hidden @ weight.T).float().log_softmax(1)
    entropy = -(logp.exp() * logp).sum(1)
    chosen = logp.gather(1, targets[:, None])[:, 0]
    loss = -(coefficient * chosen + entropy_weight * entropy).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    d_weight += weight.grad


def contestants(inputs: Inputs) -> dict[str, Callable[[], None]]:
    hidden, weight, targets, coefficient, entropy_weight = inputs
    d_weight = torch.zeros(weight.shape)
    logits = hidden[:1024] @ weight.T
    work, logp, entropy = (
        torch.empty_like(logits),
        torch.empty(len(logits)),
        torch.empty(len(logits)),
    )
    count = len(logits)

    def rows(implementation: CpuRows | TorchRows) -> None:
        work.copy_(logits)
        implementation.policy_loss(
            work, targets[:count], coefficient[:count], entropy_weight[:count], 1.0, logp, entropy
        )

    return {
        "head, cpu": lambda: one_pass(inputs, d_weight, "cpu"),
        "head, torch": lambda: one_pass(inputs, d_weight, "torch"),
        "head, autograd": lambda: autograd(inputs, d_weight),
        f"rows ({count} tokens), cpu": lambda: rows(CpuRows()),
        f"rows ({count} tokens), torch": lambda: rows(TorchRows()),
    }


def measure(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, dict[str, float]]:
    """Medians of interleaved runs, after one unmeasured round."""
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            begin_wall, begin_cpu = time.perf_counter(), time.process_time()
            run()
            if repeat:
                wall[name].append(time.perf_counter() - begin_wall)
                cpu[name].append(time.process_time() - begin_cpu)
    return {
        name: {"wall_s": statistics.median(wall[name]), "cpu_s": statistics.median(cpu[name])}
        for name in runs
    }


def add_ratios(times: dict[str, dict[str, float]]) -> None:
    for name, row in times.items():
        ours = times[name.split(",")[0] + ", cpu"]
        row["wall_ratio"] = row["wall_s"] / ours["wall_s"]
        row["cpu_ratio"] = row["cpu_s"] / ours["cpu_s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tokens", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--vocabulary", type=int, default=49152)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    arguments = parser.parse_args()
    about = {
        "shape": {"width": arguments.width, "vocabulary": arguments.vocabulary},
        "repeats": arguments.repeats,
        "threads": torch.get_num_threads(),
        "isa": _kernels.isa(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    print(about)
    results = {}
    for tokens in arguments.tokens:
        inputs = make_inputs(tokens, arguments.width, arguments.vocabulary)
        times = measure(contestants(inputs), arguments.repeats)
        add_ratios(times)
        results[tokens] = times
        for name, row in times.items():
            figures = "  ".join(f"{key} {value:8.3f}" for key, value in row.items())
            print(f"{tokens:6d} tokens  {name:26s} {figures}", flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(about | {"tokens": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
