"""Fewer activations kept for the backward pass: what is cheap to make again is made again.

Of a layer's activations transformers keeps most for its norms (in fp32, several copies) and for
what lies between the products of its feed-forward block. Those are elementwise: computed again from
what is kept anyway, their gradients are the same to the bit, and they cost no matrix product. A
token and layer of Qwen2.5-0.5B keeps 31 KB in place of 71, those of attention's probabilities
included (policy/attention.py), of SmolLM2-135M 17 in place of 33.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Literal

import torch
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

# What transformers calls these blocks in its layers.
_FEED_FORWARD = ("mlp", "feed_forward")
_ATTENTION = ("self_attn", "attention", "attn", "self_attention")
Block = Literal["attention", "feed_forward"]


def keep_less(model: torch.nn.Module, whole: Collection[Block] = ()) -> None:
    """Make the norms and feed-forward blocks of `model` keep their inputs and wide products only.

    Blocks of the kinds `whole` keep their inputs alone: their products are computed again. A block
    that is not known by its name keeps what it kept.
    """
    for name, module in model.named_modules():
        kind = name.rpartition(".")[2]
        if type(module).__name__.endswith("Norm"):
            _recompute(module)
        elif kind in _FEED_FORWARD:
            again = {} if "feed_forward" in whole else {"context_fn": _keeping_wide_products}
            _recompute(module, **again)
        elif kind in _ATTENTION and "attention" in whole:
            _recompute(module)


def _recompute(module: torch.nn.Module, **options: Any) -> None:
    # There is no randomness to repeat: the model is in evaluation mode.
    again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False, **options)
    module.forward = _in_training(module.forward, again)


def _in_training(forward: Callable[..., Any], again: Callable[..., Any]) -> Callable[..., Any]:
    def run(*inputs: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*inputs, **options)
        return again(forward, *inputs, **options)

    return run


def _keeping_wide_products() -> Any:
    return create_selective_checkpoint_contexts(  # type: ignore[no-untyped-call]
        _is_wide_product
    )


def _is_wide_product(
    _context: object, operation: object, *operands: Any, **_options: Any
) -> CheckpointPolicy:
    """Products that widen are kept. The one that narrows again ends the block: the backward pass
    asks for its input and never for its result."""
    if operation in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
        inner, outer = operands[-1].shape
        if outer > inner:
            return CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.PREFER_RECOMPUTE
