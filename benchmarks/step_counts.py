"""What a step computes and moves, and what the machine could.

A multiplication and an addition are two operations. Of a training token the model's products are
computed three times: forward, and backward for inputs and for weights; what is recomputed does not
count (MFU in the sense of arXiv 2204.02311, appendix B). Of attention only the pairs count that see
each other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from azr_fast.policy.footprint import BYTES, ModelShape
from azr_fast.policy.packing import Pack

# Dense bf16 products of NVIDIA's data sheets, operations a second; bytes a second of their memory.
CARDS = {
    "H200": (989e12, 4.8e12),
    "H100": (989e12, 3.35e12),
    "A100": (312e12, 2.04e12),
    "L40S": (362e12, 0.86e12),
    "4090": (165e12, 1.01e12),
}


def ceilings(device: torch.device, dtype: torch.dtype, seconds: float = 1.0) -> dict[str, float]:
    """Operations a second of a large product, and bytes a second of a copy, measured; beside them
    the data sheet's of a known card."""
    on_gpu = device.type == "cuda"
    size = 8192 if on_gpu else 1024
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    source = torch.zeros(2**31 if on_gpu else 2**26, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product_s = _shortest(lambda: left @ right, device, seconds)
    copy_s = _shortest(lambda: target.copy_(source), device, seconds)
    found = {"flop_per_s": 2 * size**3 / product_s, "bytes_per_s": 2 * source.numel() / copy_s}
    if on_gpu:
        name = torch.cuda.get_device_name(device)
        card = next((CARDS[key] for key in CARDS if key in name), None)
        if card:
            found |= {"sheet_flop_per_s": card[0], "sheet_bytes_per_s": card[1]}
    return found


def _shortest(run: object, device: torch.device, seconds: float) -> float:
    """The shortest of the runs that fit in `seconds`, after one that warms up."""
    assert callable(run)
    best, end = float("inf"), time.perf_counter() + seconds
    run()
    while best == float("inf") or time.perf_counter() < end:
        wait(device)
        begin = time.perf_counter()
        run()
        wait(device)
        best = min(best, time.perf_counter() - begin)
    return best


def wait(device: torch.device) -> None:
    """Until the device has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def pairs(pack: Pack) -> int:
    """How many pairs of tokens see each other."""
    own = ((end - begin) * (end - begin + 1) // 2 for begin, end, _ in pack.segments)
    above = (
        (end - begin) * sum(stop - start for start, stop in prefix)
        for begin, end, prefix in pack.segments
    )
    return sum(own) + sum(above)


def update_flop(shape: ModelShape, packs: Sequence[Pack]) -> float:
    """Operations of an update's products over these packs."""
    return sum(
        6 * layer_weights(shape) * pack.tokens_T.numel()
        + 6 * shape.vocabulary * shape.hidden * pack.trained
        + 12 * shape.layers * shape.queries * pairs(pack)
        for pack in packs
    )


def layer_weights(shape: ModelShape) -> int:
    """Weights of the products of all layers, without embeddings and head."""
    attention = 2 * shape.hidden * (shape.queries + shape.keys)
    return shape.layers * (attention + 3 * shape.hidden * shape.feed_forward)


def decode_bytes(
    shape: ModelShape, dtype: str, passes: int, answers: Sequence[tuple[int, int]]
) -> float:
    """The least that decoding must read: all weights in each pass, and for each sampled token the
    keys and values before it. `answers` are (prompt tokens, sampled tokens)."""
    weights = layer_weights(shape) + shape.vocabulary * shape.hidden
    context = sum(prompt * new + new * (new - 1) // 2 for prompt, new in answers)
    return float(BYTES[dtype] * (passes * weights + 2 * shape.keys * shape.layers * context))
