"""Kernels on CPUs (csrc/cpu). Arrays are CPU tensors (DLPack), contiguous but for rows of logits.

Logits are bfloat16, float16 or float32, per-row arrays float32, targets int64 in the vocabulary or
`ignored`, where a kernel has that. ValueError for shapes that do not fit, targets outside, scales
that are not positive; TypeError for other dtypes of arrays that are written: a copy would be.
"""

import torch

def isa() -> str:
    """The instruction set in use: amx, avx512bf16, avx2 or portable."""

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
    d_logits: torch.Tensor,
    correction: int,
    dual: float,
    cap: float,
    kl_weight: float,
    has_reference: bool,
    threads: int,
) -> None:
    """`per_token` [7, C] and `results` [6, C]: see azr_fast.ops.objective. Writes results, and
    d loss / d logits in the logits' dtype, or of float32 logits in bfloat16; its rows may begin
    where those of the logits do."""

def has_bf16_product() -> bool:
    """Whether `bf16_product` runs here: it needs AVX-512-BF16."""

def bf16_product(
    a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, add: bool, threads: int
) -> None:
    """c [m, n] (+)= a [m, k] · b [n, k]ᵀ for bfloat16 a and b, float32 c. Each is contiguous one
    way, c along its rows. The result does not depend on the number of threads."""

def selective_forward(
    logits: torch.Tensor,
    targets: torch.Tensor,
    scale: torch.Tensor,
    ignored: int,
    logp: torch.Tensor,
    entropy: torch.Tensor,
    top: torch.Tensor,
    log_sum: torch.Tensor,
    threads: int,
) -> None:
    """See azr_fast.ops.selective_logprob.Rows; `scale` is 1 / temperature."""

def selective_backward(
    logits: torch.Tensor,
    targets: torch.Tensor,
    scale: torch.Tensor,
    ignored: int,
    entropy: torch.Tensor,
    top: torch.Tensor,
    log_sum: torch.Tensor,
    d_logp: torch.Tensor,
    d_entropy: torch.Tensor,
    d_logits: torch.Tensor,
    threads: int,
) -> None: ...
def group_advantage(
    rewards: torch.Tensor,
    groups: torch.Tensor,
    lengths: torch.Tensor,
    advantages: torch.Tensor,
    one_group: bool,
    token_weighted: bool,
    leave_one_out: bool,
    scaled: bool,
) -> None:
    """See azr_fast.ops.group_advantage; rewards are float64, keys and lengths int64."""
