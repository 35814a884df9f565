"""Our GPU kernels against their floors, their goals and the peers, in one command.

    python benchmarks/kernels_gpu.py --peers peers --output benchmarks/results/h200.json

First come the device's ceilings: memory bandwidth and bf16 products. Then, for each operation at
each model's head (16,384 tokens), every repeat runs all contestants one after the other on the same
tensors. Reported are the median time, the floor's share of it (floor: the products' work, or the
bytes that must move, at the ceilings), the ratio to ours, and of two runs before, which are not
timed, relative Frobenius errors against fp64 and peak extra memory. A contestant that is not
installed or fails, in whichever run, is reported with its reason, and so is a table that cannot be
made. After --minutes nothing more is begun. Results are written after each table, those with goals
first, so that a run that is cut short leaves them. `kernel_peers.py` says where the peers come
from; a peer that breaks the device (an illegal access) fails all that follow: take its folder away.

Times are between two events on the device. A millisecond of idling comes first, during which the
host launches ahead; what an operation itself waits for (its checks) counts.

Without a GPU, or with --reduced, everything runs at a toy size on the CPU, with our CPU and torch
implementations and the peers that work there: that shows that the script works, and no speed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import kernel_ours as ours
import kernel_peers as peers
import torch
from kernel_cases import (
    MODELS,
    REDUCED,
    Inputs,
    Outcome,
    Reference,
    Shape,
    errors,
    make_inputs,
    reference,
)
from kernel_contest import OURS, Row, Setting, Table, compete, failure, on_device

MakeTable = Callable[[], Table]
GOALS_MS = {
    "linear_policy_loss 7B": 85.0,
    "linear_logprob 7B": 28.3,
    "selective_logprob": 0.68,
    "group_advantage": 0.020,
}

POLICY_LOSS: dict[str, Callable[[Inputs], Outcome]] = {
    OURS: ours.one_pass(),
    "ours, chunks of 2048": ours.one_pass(2048),
    "ours, chunks of 8192": ours.one_pass(8192),
    "ours, four products": peers.with_loss(ours.differentiable),
    "Liger 0.8.5 GRPO": peers.liger_grpo,
} | {name: peers.with_loss(head) for name, head in peers.HEADS.items()}
LOGPROB: dict[str, Callable[[Inputs], Outcome]] = {
    OURS: peers.forward(ours.differentiable),
    "ours, kernel alone": ours.fused_head,
    "product, then one kernel": ours.chunk_and_statistics,
    "product in bf16, then one kernel": partial(ours.chunk_and_statistics, rounded=True),
} | {name: peers.forward(head) for name, head in peers.HEADS.items()}
SELECTIVE = {
    OURS: ours.selective,
    "ours, CUDA C++": ours.selective_cuda,
} | peers.SELECTIVE
ADVANTAGE = {OURS: ours.advantage, "plain torch": ours.torch_advantage}


def ceilings(device: torch.device, reduced: bool) -> dict[str, float]:
    """Bytes a second of a copy (read and written) and bf16 operations a second of a product."""
    size = 256 if reduced else 8192
    source = torch.zeros(1 << (20 if reduced else 31), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    a = torch.randn(size, size, device=device).bfloat16()
    copy_ms = min(on_device(lambda: target.copy_(source), device) for _ in range(10))
    product_ms = min(on_device(lambda: a @ a, device) for _ in range(10))
    return {
        "bytes_per_s": 2e3 * source.numel() / copy_ms,
        "flop_per_s": 2e3 * size**3 / product_ms,
    }


def prepared(shape: Shape, device: torch.device) -> tuple[Inputs, Reference]:
    inputs = make_inputs(shape, device)
    return inputs, reference(inputs)


def head_table(
    contestants: dict[str, Callable[[Inputs], Outcome]],
    products: int,
    case: Callable[[], tuple[Inputs, Reference]],
    setting: Setting,
) -> Table:
    """An operation at one head, whose floor is that many products."""
    inputs, expected = case()
    runs = {name: partial(run, inputs) for name, run in contestants.items()}
    floor_ms = 1e3 * products * inputs.shape.product_flop / setting.limits["flop_per_s"]
    return compete(runs, partial(check_head, expected), floor_ms, setting)


def check_head(expected: Reference, outcome: Outcome) -> Row:
    return dict(errors(outcome, expected))


def selective_table(tokens: int, vocabulary: int, setting: Setting) -> Table:
    logits_TV = torch.randn(tokens, vocabulary, device=setting.device).mul_(3).bfloat16()
    targets_T = torch.randint(vocabulary, (tokens,), device=setting.device)
    sample = slice(0, 64)
    expected = logits_TV[sample].double().log_softmax(1)
    expected = expected.gather(1, targets_T[sample, None])[:, 0]

    def check(outcome: Outcome) -> Row:
        assert outcome.logp_T is not None
        difference = outcome.logp_T[sample].double() - expected
        return {"error_logp": (difference.norm() / expected.norm()).item()}

    runs = {
        name: lambda run=run: Outcome(run(logits_TV, targets_T)) for name, run in SELECTIVE.items()
    }
    floor_ms = 1e3 * 2 * tokens * vocabulary / setting.limits["bytes_per_s"]
    return compete(runs, check, floor_ms, setting)


def advantage_table(sequences: int, tokens: int, setting: Setting) -> Table:
    """Groups of eight."""
    rewards_S = torch.randn(sequences, device=setting.device)
    groups_S = torch.arange(sequences, device=setting.device) // 8
    lengths_S = torch.full_like(groups_S, tokens // sequences)
    given = rewards_S, groups_S, lengths_S, tokens
    expected = ours.torch_advantage(rewards_S.double(), *given[1:])

    def check(outcome: Outcome) -> Row:
        assert outcome.logp_T is not None
        return {"error": ((outcome.logp_T - expected).norm() / expected.norm()).item()}

    runs = {name: lambda run=run: Outcome(run(*given)) for name, run in ADVANTAGE.items()}
    return compete(runs, check, 1e3 * 4 * tokens / setting.limits["bytes_per_s"], setting)


def tables(reduced: bool, models: list[str], setting: Setting) -> Iterator[tuple[str, MakeTable]]:
    """Names, and how each table is made. Of a head's tensors there is one set at a time."""
    tokens, sequences = (4096, [64]) if reduced else (1 << 20, [1024, 4096, 16384])
    for count in sequences:
        yield (
            f"group_advantage {tokens} tokens of {count}",
            partial(advantage_table, count, tokens, setting),
        )
    rows = (256, 1003) if reduced else (8192, 151936)
    yield "selective_logprob {} x {}".format(*rows), partial(selective_table, *rows, setting)
    shapes = REDUCED if reduced else {name: MODELS[name] for name in models}
    for model, shape in shapes.items():
        case = cache(partial(prepared, shape, setting.device))
        for operation, contestants, products in (
            ("linear_policy_loss", POLICY_LOSS, 3),
            ("linear_logprob", LOGPROB, 1),
        ):
            yield (
                f"{operation} {model}",
                partial(head_table, contestants, products, case, setting),
            )


def report(name: str, table: Table, goals: dict[str, float]) -> None:
    goal = next((f" (goal {ms:g} ms)" for key, ms in goals.items() if name.startswith(key)), "")
    print(f"\n{name}{goal}")
    for contestant, row in table.items():
        cells = [f"{key} {value:.4g}" for key, value in row.items() if isinstance(value, float)]
        print(f"  {contestant:34s} {row.get('failed') or '  '.join(cells)}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--peers", type=Path, help="folder of the peers' packages")
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    parser.add_argument("--reduced", action="store_true", default=not torch.cuda.is_available())
    return parser.parse_args()


def main() -> None:
    begin, options = time.monotonic(), arguments()
    if options.peers:
        sys.path.append(str(options.peers.resolve()))
    device = torch.device("cpu" if options.reduced else "cuda")
    limits = ceilings(device, options.reduced)
    results: dict[str, Any] = {
        "device": "cpu, reduced" if options.reduced else torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "repeats": options.repeats,
        "ceilings": limits,
        "goals_ms": GOALS_MS,
        "tables": {},
    }
    print(f"{results['device']}, torch {torch.__version__}")
    print(f"  memory {limits['bytes_per_s'] / 1e12:.3g} TB/s", end="")
    print(f"  bf16 products {limits['flop_per_s'] / 1e12:.3g} TFLOP/s")

    def finish(name: str, table: Table) -> None:
        report(name, table, {} if options.reduced else GOALS_MS)
        results["tables"][name] = table
        if options.output:
            options.output.write_text(json.dumps(results, indent=1) + "\n")

    setting = Setting(device, limits, options.repeats, begin + 60 * options.minutes)
    for name, make in tables(options.reduced, options.models, setting):
        try:
            table = make()
        except Exception as reason:  # as of memory for its inputs: there are other tables
            table = {"all": failure(reason)}
        finish(name, table)


if __name__ == "__main__":
    main()
