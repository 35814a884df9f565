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
    scale: torch.Tensor,
    per_token: torch.Tensor,
    results: torch.Tensor,
    correction: int,
    dual: float,
    cap: float,
    kl_weight: float,
    has_reference: bool,
    threads: int,
) -> None:
    """`per_token` [7, C] and `results` [6, C]: see azr_fast.ops.objective. Writes results, and
    d loss / d logits over the logits."""
