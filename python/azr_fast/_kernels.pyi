"""Row kernels over logits on CPUs (csrc/). Arrays are C-contiguous CPU tensors (DLPack).

TypeError for others where the kernel writes (logits, logp, entropy): a copy would be written to.
"""

import torch

def isa() -> str:
    """The instruction set in use: avx512bf16, avx2 or portable."""

def logprob_rows(
    logits: torch.Tensor, targets: torch.Tensor, scale: float, logp: torch.Tensor, threads: int
) -> None: ...
def policy_loss_rows(
    logits: torch.Tensor,
    targets: torch.Tensor,
    coefficient: torch.Tensor,
    entropy_weight: torch.Tensor,
    scale: float,
    logp: torch.Tensor,
    entropy: torch.Tensor,
    threads: int,
) -> None: ...
