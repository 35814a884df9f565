"""Row kernels over logits on CPUs (csrc/). Arrays are C-contiguous CPU tensors (DLPack).

Per-row arrays are float32, targets int64. TypeError for others where the kernel writes: a copy
would be written to.
"""

import torch

def isa() -> str:
    """The instruction set in use: avx512bf16, avx2 or portable."""

def statistics_rows(
    logits: torch.Tensor,
    targets: torch.Tensor,
    scale: torch.Tensor,
    shift: torch.Tensor,
    exp: torch.Tensor,
    y_exp: torch.Tensor,
    target_y: torch.Tensor,
    threads: int,
) -> None: ...
def policy_loss_rows(
    logits: torch.Tensor,
    targets: torch.Tensor,
    coefficient: torch.Tensor,
    entropy_weight: torch.Tensor,
    scale: torch.Tensor,
    logp: torch.Tensor,
    entropy: torch.Tensor,
    threads: int,
) -> None: ...
