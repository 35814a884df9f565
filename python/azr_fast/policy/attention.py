"""Attention over a pack: every segment sees the segments above it and, causally, itself.

Registered with transformers as the attention implementation `segments`. What attends over one pack
is prepared once, before its forward pass; the model hands it down to every layer under that name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from transformers import AttentionInterface, PretrainedConfig

from azr_fast.errors import UserError
from azr_fast.policy.attention_flex import LEAST_WIDTH, FlexTree
from azr_fast.policy.attention_tiles import segment_attention
from azr_fast.policy.attention_tree import last_seers, sequence_starts
from azr_fast.policy.attention_varlen import FlatPack, has_varlen
from azr_fast.policy.packing import Segment

# (query_QTD, key_KTD, value_KTD, scale) → output_TQD, over the pack that it was prepared for
PackAttention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]
_UNSUPPORTED = ("sliding_window", "softcap", "s_aux")


@dataclass(frozen=True, slots=True)
class Attention:
    """How a model attends over packs: a line about it, and what prepares it for a pack."""

    about: str
    prepare: Callable[[Sequence[Segment]], PackAttention]


def tiles(segments: Sequence[Segment]) -> PackAttention:
    """Plain products, tile by tile."""

    def over_pack(
        query_QTD: torch.Tensor, key_KTD: torch.Tensor, value_KTD: torch.Tensor, scale: float
    ) -> torch.Tensor:
        return segment_attention(query_QTD, key_KTD, value_KTD, segments, scale)

    return over_pack


TILES = Attention("products of tiles", tiles)


def choose_attention(
    wanted: Literal["auto", "tiles", "flex"],
    device: torch.device,
    config: PretrainedConfig,
    dtype: torch.dtype,
) -> Attention:
    """The attention that `update.attention` asks for, of a model on a device.

    Raises UserError where FlexAttention is asked for and cannot be had; "auto" goes without it.
    """
    width = _head_width(config)
    lacks = _lacks(device, width)
    if wanted == "flex" and lacks:
        raise UserError(f"update.attention cannot be flex: {lacks}: set it to auto")
    if wanted == "tiles" or device.type == "cpu":
        return TILES
    if lacks:
        return Attention(f"products of tiles, slow on a GPU: {lacks}", tiles)
    if has_varlen(device, dtype, width):
        about = "FlexAttention, one kernel a layer; a flash kernel for flat packs"
        return Attention(about, partial(flat_or_flex, device=device))
    about = "FlexAttention, one kernel a layer"
    return Attention(about, partial(FlexTree, device=device))


def flat_or_flex(segments: Sequence[Segment], device: torch.device) -> PackAttention:
    """A flash kernel where the pack is a row of sequences, else FlexAttention."""
    starts = sequence_starts(last_seers(segments))
    return FlexTree(segments, device) if starts is None else FlatPack(starts, device)


def _lacks(device: torch.device, width: int) -> str:
    """Why FlexAttention cannot train this model here; empty where it can."""
    if device.type == "cpu":
        return "FlexAttention has no gradient on a CPU"
    if width < LEAST_WIDTH:
        return f"FlexAttention wants heads {LEAST_WIDTH} wide or wider, and these are {width}"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "FlexAttention wants a GPU of compute capability 8.0 or later"
    return ""


def _head_width(config: PretrainedConfig) -> int:
    text = config.get_text_config()
    width = getattr(text, "head_dim", None)
    return int(width or text.hidden_size // text.num_attention_heads)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    segments: PackAttention | None = None,
    dropout: float = 0.0,
    **features: object,
) -> tuple[torch.Tensor, None]:
    """What transformers calls: tensors are [1, heads, T, D], the result is [1, T, heads, D].

    Raises UserError, whose subject is the layer, for what packs cannot do (policy/proof.py).
    """
    used = [name for name in _UNSUPPORTED if features.get(name) is not None]
    if dropout:
        used.append("dropout")
    if attention_mask is not None:
        used.append("a mask that is not plain causal")
    if used:
        raise UserError(f"uses {used[0]}")
    if segments is None:
        raise UserError("does not hand the segments of a pack to its attention")
    assert query.shape[0] == 1
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    output_TQD = segments(query[0], key[0], value[0], scale)
    return output_TQD[None].contiguous(), None


AttentionInterface.register("segments", attend)
