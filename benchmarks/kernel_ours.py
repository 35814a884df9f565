"""Our operations behind the benchmark's interface, in the forms that compete with each other."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch
from kernel_cases import CLIP, Inputs, Outcome

from azr_fast.ops.dispatch import choose, triton_kernel
from azr_fast.ops.group_advantage import torch_launch
from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.objective import Objective
from azr_fast.ops.products import choose_products
from azr_fast.ops.rows import choose_rows
from azr_fast.ops.rows_triton import TritonRows
from azr_fast.ops.selective_logprob import choose_rows as choose_selective

CHUNK = 4096


def one_pass(chunk: int | None = None) -> Callable[[Inputs], Outcome]:
    """Three products, the row kernel between them, d weight in fp32."""

    def run(inputs: Inputs) -> Outcome:
        d_weight = torch.zeros_like(inputs.weight_VH, dtype=torch.float32)
        objective = Objective(
            inputs.advantage_T,
            torch.ones_like(inputs.advantage_T),
            behaviour_logp_N=inputs.behaviour_T,
            correction="clip",
            low=CLIP,
            high=CLIP,
        )
        given = inputs.hidden_TH, inputs.weight_VH, inputs.targets_T
        result = linear_policy_loss(*given, objective, d_weight, chunk=chunk)
        return Outcome(result.logp_N, result.d_hidden_NH, d_weight)

    return run


def differentiable(hidden: torch.Tensor, weight: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """`linear_logprob` as a head for a loss in torch: four products."""
    return linear_logprob(hidden, weight, inputs.targets_T).logp_N


def fused_head(inputs: Inputs) -> Outcome:
    """The kernel that writes no logits, of all tokens at once, without the checks."""
    choose("triton", inputs.hidden_TH.device)
    scale_T = torch.ones_like(inputs.advantage_T)
    given = inputs.hidden_TH, inputs.weight_VH, inputs.targets_T, scale_T
    return Outcome(TritonRows().head_statistics(*given).logp())


@torch.no_grad()
def chunk_and_statistics(inputs: Inputs, rounded: bool = False) -> Outcome:
    """A product per chunk of tokens and one kernel over its logits, which stay fp32 on a GPU
    unless they are to be rounded to bfloat16, as torch's plain product does."""
    rows = choose_rows("auto", inputs.hidden_TH.device)
    logp, scale = torch.empty_like(inputs.advantage_T), torch.ones_like(inputs.advantage_T)
    products = choose_products("auto", inputs.hidden_TH)
    buffer = products.new_logits(inputs.hidden_TH, CHUNK, inputs.shape.vocabulary)
    for begin in range(0, inputs.shape.tokens, CHUNK):
        part = slice(begin, begin + CHUNK)
        hidden, targets = inputs.hidden_TH[part], inputs.targets_T[part]
        if rounded:
            logits_CV = hidden @ inputs.weight_VH.T
        else:
            logits_CV = buffer[: hidden.shape[0]]
            products.logits(hidden, inputs.weight_VH, logits_CV)
        logp[part] = rows.statistics(logits_CV, targets, scale[part]).logp()
    return Outcome(logp)


def selective(logits_TV: torch.Tensor, targets_T: torch.Tensor) -> torch.Tensor:
    """The kernel's launch, without the operation's checks."""
    outputs = [torch.empty(targets_T.shape, device=logits_TV.device) for _ in range(4)]
    temperature = torch.ones(1, device=logits_TV.device).expand(targets_T.shape)
    choose_selective("auto", logits_TV.device).forward(
        logits_TV, targets_T, temperature, -100, *outputs
    )
    return outputs[0]


def selective_cuda(logits_TV: torch.Tensor, targets_T: torch.Tensor) -> torch.Tensor:
    """The kernel written in CUDA C++, if it was built: -DAZR_CUDA=ON."""
    kernels = import_module("azr_fast._kernels_cuda")
    outputs = [torch.empty(targets_T.shape, device=logits_TV.device) for _ in range(4)]
    stream = torch.cuda.current_stream().cuda_stream
    scale = torch.ones_like(outputs[0])
    kernels.selective_forward(logits_TV, targets_T, scale, -100, *outputs, stream)
    return outputs[0]


GRPO = {"one_group": False, "token_weighted": False, "leave_one_out": False, "scaled": True}


def advantage(
    rewards_S: torch.Tensor, groups_S: torch.Tensor, lengths_S: torch.Tensor, tokens: int
) -> torch.Tensor:
    """GRPO's, by the kernel's launch; on a CPU by the torch version."""
    advantage_N = torch.empty(tokens, device=rewards_S.device)
    if choose("auto", rewards_S.device) == "triton":
        launch = triton_kernel("group_advantage").launch
    else:
        launch = torch_launch
    launch(rewards_S, groups_S, lengths_S, advantage_N, **GRPO)
    return advantage_N


def torch_advantage(
    rewards_S: torch.Tensor, groups_S: torch.Tensor, lengths_S: torch.Tensor, tokens: int
) -> torch.Tensor:
    """The formulas in torch: the oracle."""
    advantage_N = torch.empty(tokens, device=rewards_S.device)
    torch_launch(rewards_S, groups_S, lengths_S, advantage_N, **GRPO)
    return advantage_N
