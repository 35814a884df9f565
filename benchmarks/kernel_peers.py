r"""Other projects' kernels behind the benchmark's interface, a function per peer and operation.

A peer is imported when it is called. Their wheels need no dependencies for what is used here:

    python -m pip download --no-deps -d wheels \
        liger-kernel==0.8.5 trl==1.16.0 verl==0.9.1 cut-cross-entropy==25.1.1
    for wheel in wheels/*.whl; do python -m zipfile -e $wheel peers; done

and `kernels_gpu.py --peers peers` (3.5 MiB as wheels). Liger's head for Hopper also wants
nvidia-cutlass-dsl (4.8.1 was tried, its packages libs-base, libs-core and libs-cu13 with it).
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec

import torch
from kernel_cases import CLIP, Inputs, Outcome

VOCABULARY_CHUNK = 32768  # what TRL's trainer passes
LogProb = Callable[[torch.Tensor, torch.Tensor, Inputs], torch.Tensor]  # hidden, weight → log p


def plain_torch(hidden: torch.Tensor, weight: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    logp_TV = (hidden @ weight.T).float().log_softmax(1)
    return logp_TV.gather(1, inputs.targets_T[:, None])[:, 0]


def trl(hidden: torch.Tensor, weight: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """See `trl_statistics`."""
    return trl_statistics(hidden, weight, inputs.targets_T)[0]


def trl_statistics(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and entropies: products of 4096 tokens by 32768 words, a statistics kernel
    (torch operations on a CPU), fp32 gradients."""
    _stand_in_for_trl_trainer()
    function = importlib.import_module("trl.kernels").ChunkedLogProbFunction
    options = 1.0, VOCABULARY_CHUNK, None, 1.0, ("entropy",)
    logp, entropy, *_ = function.apply(hidden, weight, None, targets, *options)
    return logp, entropy


def _stand_in_for_trl_trainer() -> None:
    """The backward pass asks the trainer for a context, which is empty without DeepSpeed; the
    trainer's module wants pandas, datasets and more, which a benchmark's machine need not have."""
    stand_in = types.ModuleType("trl.trainer.utils")
    vars(stand_in)["maybe_gather_lm_head_ctx"] = lambda *_: nullcontext()
    sys.modules["trl.trainer.utils"] = stand_in


def liger(hidden: torch.Tensor, weight: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """The fused head: CuTe on Hopper, chunks of torch operations on a CPU. Those would also stand
    in on a GPU, unasked, where CuTe is missing."""
    if hidden.is_cuda and find_spec("cutlass") is None:
        raise ModuleNotFoundError("no nvidia-cutlass-dsl, on which Liger's head is built")
    module = importlib.import_module("liger_kernel.ops.fused_linear_scaled_cross_entropy")
    function = module.LigerFusedLinearScaledCrossEntropyFunction
    nll, _ = function.apply(hidden, weight, inputs.targets_T, 1.0, -100, 1, True)
    return -nll


def verl(hidden: torch.Tensor, weight: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """The Triton head; refuses widths that are not multiples of 128."""
    for name in ("verl", "verl.utils"):  # whose own __init__ wants ray and more
        _package_without_init(name)
    module = importlib.import_module("verl.utils.kernel.linear_cross_entropy")
    logp, _ = module.linear_cross_entropy(hidden, weight, inputs.targets_T, 1.0, "none")
    return logp


def _package_without_init(name: str) -> None:
    if name not in sys.modules:
        spec = find_spec(name) if "." not in name else None
        places = spec.submodule_search_locations if spec else None
        if "." in name:
            parent, _, leaf = name.rpartition(".")
            places = [f"{place}/{leaf}" for place in sys.modules[parent].__path__]
        if places is None:
            raise ModuleNotFoundError(f"No module named {name!r}")
        package = types.ModuleType(name)
        package.__path__ = list(places)
        sys.modules[name] = package


def cut_cross_entropy(hidden: torch.Tensor, weight: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """With its default filter, which leaves out small gradients."""
    function = importlib.import_module("cut_cross_entropy").linear_cross_entropy
    return -function(hidden, weight, inputs.targets_T, reduction="none")


HEADS: dict[str, LogProb] = {
    "plain torch": plain_torch,
    "TRL 1.16": trl,
    "Liger 0.8.5": liger,
    "verl 0.9.1": verl,
    "cut-cross-entropy": cut_cross_entropy,
}


def forward(head: LogProb) -> Callable[[Inputs], Outcome]:
    """The head's log-probabilities alone."""

    @torch.no_grad()
    def run(inputs: Inputs) -> Outcome:
        return Outcome(head(inputs.hidden_TH, inputs.weight_VH, inputs))

    return run


def with_loss(head: LogProb) -> Callable[[Inputs], Outcome]:
    """The head, PPO's clipped loss in torch, and autograd back."""

    def run(inputs: Inputs) -> Outcome:
        hidden = inputs.hidden_TH.detach().requires_grad_()
        weight = inputs.weight_VH.detach().requires_grad_()
        logp = head(hidden, weight, inputs)
        ratio = (logp - inputs.behaviour_T).exp()
        bounded = ratio.clamp(1 - CLIP, 1 + CLIP)
        loss = -torch.minimum(ratio * inputs.advantage_T, bounded * inputs.advantage_T).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return Outcome(logp.detach(), hidden.grad, weight.grad)

    return run


def liger_grpo(inputs: Inputs) -> Outcome:
    """Liger's GRPO loss, a sequence at a time; it returns no log-probabilities."""
    module = importlib.import_module("liger_kernel.chunked_loss.grpo_loss")
    loss_of = module.LigerFusedLinearGRPOLoss(
        beta=0.0,
        compiled=inputs.hidden_TH.is_cuda,
        use_ref_model=False,
        epsilon_low=CLIP,
        epsilon_high=CLIP,
        loss_type="bnpo",  # the mean over tokens
    )
    shape = inputs.shape
    rows = shape.sequences, shape.length
    hidden = inputs.hidden_TH.detach().view(*rows, shape.width).requires_grad_()
    weight = inputs.weight_VH.detach().requires_grad_()
    loss, _ = loss_of(
        hidden,
        weight,
        inputs.targets_T.view(rows),
        torch.ones(rows, device=hidden.device),
        inputs.advantage_T[:: shape.length],
        old_per_token_logps=inputs.behaviour_T.view(rows),
    )
    (loss * shape.tokens).backward()
    assert hidden.grad is not None
    return Outcome(None, hidden.grad.view(shape.tokens, shape.width), weight.grad)


@torch.no_grad()
def trl_selective(logits_TV: torch.Tensor, targets_T: torch.Tensor) -> torch.Tensor:
    """Log p of given logits, and their entropy, by one kernel."""
    logp_T, _ = importlib.import_module("trl.kernels").selective_log_softmax_and_entropy(
        logits_TV, targets_T
    )
    return logp_T


@torch.no_grad()
def plain_selective(logits_TV: torch.Tensor, targets_T: torch.Tensor) -> torch.Tensor:
    logp_TV = logits_TV.float().log_softmax(1)
    return logp_TV.gather(1, targets_T[:, None])[:, 0]


SELECTIVE = {"plain torch": plain_selective, "TRL 1.16": trl_selective}
