"""Makes every launch as the operations make it, with Triton told that an H100 is there, up to the
point where the binary would be loaded. In a process of its own; prints what was compiled."""

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from azr_fast.ops.objective import Objective
from azr_fast.ops.products import over
from azr_fast.triton_kernels import (
    group_advantage,
    linear_logprob,
    linear_policy_loss,
    row_statistics,
    selective_logprob,
)


class Hopper:
    """What Triton asks a driver for before it compiles."""

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)


def compile_only(kernel, *arguments, grid, warmup, **options):
    compiled = run(kernel, *arguments, grid=grid, warmup=True, **options)
    print(kernel.fn.__name__, "stack" if ".local" in compiled.asm["ptx"] else "ok")
    return compiled


run, JITFunction.run = JITFunction.run, compile_only
driver.set_active(Hopper())
linear_logprob.interpreted = lambda tensor: False


def launch_all(rows, vocabulary):
    """Of that many tokens and words; a number that is 1 becomes a constant of the kernel."""
    targets, floats = torch.zeros(rows, dtype=torch.int64), torch.ones(rows)
    hidden, weight = torch.zeros(rows, 72).bfloat16(), torch.zeros(vocabulary, 72).bfloat16()
    linear_logprob.statistics(hidden, weight, targets, floats, linear_logprob.CONFIG, 132)
    objective = Objective(
        floats, floats, 0.1, floats, "clip", dual=3.0, reference_logp_N=floats, kl_weight=0.1
    ).checked(targets)
    for logits, dtype in (
        (torch.zeros(rows, vocabulary).bfloat16(), torch.bfloat16),
        (torch.zeros(rows, 50304)[:, :vocabulary], torch.bfloat16),
        (torch.zeros(rows, vocabulary), torch.float32),
    ):
        given = targets, floats, objective, torch.zeros(6, rows)
        linear_policy_loss.launch(logits, over(logits, dtype), *given)
        row_statistics.launch(logits, targets, floats, torch.zeros(4, rows))
        for ids, temperature in ((targets, floats), (targets.int(), floats[:1].expand(rows))):
            given = logits, ids, temperature, -100
            selective_logprob.forward(*given, *torch.zeros(4, rows))
            selective_logprob.backward(*given, *torch.zeros(5, rows), logits)


for vocabulary in (1, 7, 50257):
    launch_all(3, vocabulary)
launch_all(1, 1)
launch_all(1, 50257)
for sequences in (1, 2000):
    ids = torch.zeros(sequences, dtype=torch.int64)
    group_advantage.launch(
        torch.zeros(sequences),
        ids,
        ids,
        torch.zeros(1),
        one_group=False,
        token_weighted=True,
        leave_one_out=False,
        scaled=True,
    )
