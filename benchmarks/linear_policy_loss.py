"""Policy loss and gradients from hidden states on a CPU: ours against what torch offers.

    python benchmarks/linear_policy_loss.py --output results.json

TRL takes part where it can be imported (`PYTHONPATH=peers`, see `kernel_peers`).

At the head of each model every repeat runs all contestants one after the other on the same bf16
inputs; reported are medians of wall-clock and CPU seconds (which other work on the machine disturbs
less) and the ratios of the medians to ours. All add d loss / d weight to one fp32 buffer, as a
trainer with fp32 master weights does, and compute d loss / d hidden.

Extra memory is the peak of a fresh process that runs the contestant once, less what it held before:
inputs and buffer. It is read from VmHWM; ru_maxrss would start at the parent's size.

`difference` is the relative Frobenius distance of the contestant's d weight to ours. The loss has
an entropy bonus of 1e-3, which linear_cross_entropy leaves out: it computes less, and its
log-probabilities are bf16. Its chunked form (LinearCrossEntropyOptions) does not take part: it
computes gradients before it could know the coefficients.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from cpu_contest import MODELS, Shape, about, contest, options, print_table, write
from kernel_peers import trl_statistics
from torch.utils.checkpoint import checkpoint

from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.objective import Objective
from azr_fast.ops.products import over
from azr_fast.ops.rows import Rows, TorchRows
from azr_fast.ops.rows_cpu import CpuRows

CHUNK = 256  # tokens, of the rival that is chunked by hand and of the rows alone


class Inputs(NamedTuple):
    """Of every contestant; none changes them."""

    hidden: torch.Tensor
    weight: torch.Tensor
    targets: torch.Tensor
    coefficient: torch.Tensor
    entropy_weight: torch.Tensor

    def objective(self) -> Objective:
        """Reward times log-probability, with an entropy bonus."""
        return Objective(self.coefficient, torch.ones_like(self.coefficient), self.entropy_weight)

    def leaves(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states and weight for autograd, without gradients of earlier runs."""
        return self.hidden.detach().requires_grad_(), self.weight.detach().requires_grad_()


def make_inputs(tokens: int, width: int, vocabulary: int) -> Inputs:
    """Bf16 hidden states and weight with logits of standard deviation 3, and fp32 coefficients."""
    torch.manual_seed(0)
    return Inputs(
        torch.randn(tokens, width, dtype=torch.bfloat16) * (3 / width**0.5),
        torch.randn(vocabulary, width, dtype=torch.bfloat16),
        torch.randint(vocabulary, (tokens,)),
        torch.randn(tokens),
        torch.full((tokens,), 1e-3),
    )


def one_pass(inputs: Inputs, d_weight: torch.Tensor) -> None:
    policy_loss(inputs, d_weight, "cpu")


def one_pass_in_torch(inputs: Inputs, d_weight: torch.Tensor) -> None:
    policy_loss(inputs, d_weight, "torch")


def policy_loss(inputs: Inputs, d_weight: torch.Tensor, implementation: str) -> None:
    head, objective = inputs[:3], inputs.objective()
    linear_policy_loss(*head, objective, d_weight, implementation=implementation)


def autograd_form(inputs: Inputs, d_weight: torch.Tensor) -> None:
    hidden, weight = inputs.leaves()
    logp, entropy = linear_logprob(hidden, weight, inputs.targets, implementation="cpu")
    finish(-(inputs.coefficient @ logp + inputs.entropy_weight @ entropy), weight, d_weight)


def plain_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    coefficient: torch.Tensor,
    entropy_weight: torch.Tensor,
) -> torch.Tensor:
    logp = (hidden @ weight.T).float().log_softmax(1)
    entropy = -(logp.exp() * logp).sum(1)
    chosen = logp.gather(1, targets[:, None])[:, 0]
    return -(coefficient @ chosen + entropy_weight @ entropy)


def plain(inputs: Inputs, d_weight: torch.Tensor) -> None:
    hidden, weight = inputs.leaves()
    finish(plain_loss(hidden, weight, *inputs[2:]), weight, d_weight)


def chunked(inputs: Inputs, d_weight: torch.Tensor) -> None:
    hidden, weight = inputs.leaves()
    loss = torch.zeros(())
    for hidden_part, *others in zip(*(t.split(CHUNK) for t in (hidden, *inputs[2:])), strict=True):
        loss = loss + checkpoint(plain_loss, hidden_part, weight, *others, use_reentrant=False)
    finish(loss, weight, d_weight)


def cross_entropy(inputs: Inputs, d_weight: torch.Tensor) -> None:
    hidden, weight = inputs.leaves()
    loss = torch.nn.functional.linear_cross_entropy(
        hidden, weight, inputs.targets, reduction="none"
    )
    finish(inputs.coefficient @ loss.float(), weight, d_weight)


def trl_chunked(inputs: Inputs, d_weight: torch.Tensor) -> None:
    hidden, weight = inputs.leaves()
    logp, entropy = trl_statistics(hidden, weight, inputs.targets)
    finish(-(inputs.coefficient @ logp + inputs.entropy_weight @ entropy), weight, d_weight)


def finish(loss: torch.Tensor, weight: torch.Tensor, d_weight: torch.Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    d_weight += weight.grad


Contestant = Callable[[Inputs, torch.Tensor], None]
OURS, PLAIN = "ours: one pass, C++", "(a) logits, log_softmax, autograd"
CONTESTANTS: dict[str, Contestant] = {
    OURS: one_pass,
    "ours: one pass, torch": one_pass_in_torch,
    "ours: linear_logprob, autograd": autograd_form,
    PLAIN: plain,
    f"(b) {CHUNK}-token chunks, checkpoint": chunked,
}
if hasattr(torch.nn.functional, "linear_cross_entropy"):
    CONTESTANTS["(c) linear_cross_entropy"] = cross_entropy
if find_spec("trl"):
    CONTESTANTS["(d) TRL's chunked log-probabilities"] = trl_chunked


def differences(inputs: Inputs) -> dict[str, float]:
    """Of each contestant's d weight to ours."""
    ours, theirs = torch.zeros(inputs.weight.shape), torch.zeros(inputs.weight.shape)
    CONTESTANTS[OURS](inputs, ours)
    norm, result = ours.norm().item(), {}
    for name, run in CONTESTANTS.items():
        run(inputs, theirs.zero_())
        result[name] = theirs.sub_(ours).norm().item() / norm
    return result


def measure_head(inputs: Inputs, repeats: int) -> dict[str, dict[str, float]]:
    difference = differences(inputs)
    d_weight = torch.zeros(inputs.weight.shape)
    runs = {name: lambda run=run: run(inputs, d_weight) for name, run in CONTESTANTS.items()}
    times = contest(runs, repeats)
    for name, row in times.items():
        row["difference"] = difference[name]
    return times


def measure_rows(inputs: Inputs, repeats: int) -> dict[str, dict[str, float]]:
    """What lies between the products: a chunk's fp32 logits to statistics and bf16 gradient."""
    logits = (inputs.hidden[:CHUNK] @ inputs.weight.T).float()
    tokens = len(logits)
    work, results = torch.empty_like(logits), torch.empty(6, tokens)
    part = inputs.objective().checked(inputs.targets).at(torch.arange(tokens))

    def run(rows: Rows) -> None:
        work.copy_(logits)
        per_row = inputs.targets[:tokens], torch.ones(tokens), part
        rows.policy_loss(work, *per_row, results, over(work, torch.bfloat16))

    return contest(
        {"C++ rows": lambda: run(CpuRows()), "torch rows": lambda: run(TorchRows())}, repeats
    )


def memory_mib(key: str) -> float:
    """Of this process, from /proc: VmRSS (now) or VmHWM (peak)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise LookupError(key)


def print_extra_memory(name: str, shape: Shape) -> None:
    """In a process of its own, see `extra_mib`."""
    tiny = make_inputs(8, 64, 128)
    CONTESTANTS[name](tiny, torch.zeros(tiny.weight.shape))  # threads and libraries
    inputs = make_inputs(*shape)
    d_weight = torch.ones(inputs.weight.shape)
    before = memory_mib("VmRSS")
    CONTESTANTS[name](inputs, d_weight)
    print(memory_mib("VmHWM") - before)


def extra_mib(name: str, shape: Shape) -> float:
    command = [sys.executable, __file__, "--memory-of", name, *map(str, shape)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def run_model(model: str, shape: Shape, repeats: int) -> dict[str, dict[str, dict[str, float]]]:
    memory = {name: extra_mib(name, shape) for name in CONTESTANTS}
    inputs = make_inputs(*shape)
    head, rows = measure_head(inputs, repeats), measure_rows(inputs, repeats)
    for name, row in head.items():
        row["extra_mib"] = memory[name]
        row["memory_share"] = memory[name] / memory[PLAIN]
    print_table(f"{model}, {shape.tokens} tokens: head", head)
    print_table(f"{model}: rows of a chunk's logits", rows)
    return {"head": head, "rows": rows}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--memory-of", nargs=4, help=argparse.SUPPRESS)  # for the script itself
    arguments = parser.parse_args()
    if arguments.memory_of:
        print_extra_memory(arguments.memory_of[0], Shape(*map(int, arguments.memory_of[1:])))
        return
    shapes = {name: MODELS[name] for name in arguments.models}
    if arguments.tokens:
        shapes = {name: shape._replace(tokens=arguments.tokens) for name, shape in shapes.items()}
    used = {"shapes": {name: shape._asdict() for name, shape in shapes.items()}}
    used |= about(arguments.repeats)
    print(used)
    models = {name: run_model(name, shape, arguments.repeats) for name, shape in shapes.items()}
    write(arguments.output, used | {"models": models})


if __name__ == "__main__":
    main()
