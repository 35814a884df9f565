"""Attention over one pack of a real step, forward and backward: ours beside what torch offers.

    python benchmarks/attention_contest.py --output attention.json
    python benchmarks/attention_contest.py --reduced

Contestants: FlexAttention with our tree mask; the products of tiles; torch's scaled dot product
attention with a dense mask; and two that compute what every answer would alone, its prompt again
each time (they share nothing, so that they compute more): a flash kernel for sequences of any
lengths, and FlexAttention. Errors are relative to the products of tiles in fp64, where the whole
fits (Frobenius norm, of the result and of the gradients of queries, keys and values). Without a GPU
FlexAttention has no gradient; it is left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from step_counts import wait
from step_updates import make_batch

from azr_fast.policy.attention import PackAttention, flat_or_flex, tiles
from azr_fast.policy.attention_flex import FlexTree
from azr_fast.policy.attention_tree import last_seers
from azr_fast.policy.packing import Pack, Segment, TrainSequence, make_packs

# Query heads, key heads and their width, of CONFIGS in step_models.py.
HEADS = {"135M": (9, 3, 64), "0.5B": (14, 2, 64), "3B": (16, 2, 128), "7B": (28, 4, 128)}
Line = dict[str, Any]


def pack_of(batch: list[TrainSequence]) -> Pack:
    """One pack of all of it."""
    (pack,) = make_packs(batch, 2**30)
    return pack


def unshared(batch: list[TrainSequence]) -> tuple[Segment, ...]:
    """Every answer with a prompt of its own."""
    segments, begin = [], 0
    for one in batch:
        end = begin + len(one.prompt_ids) + one.computed
        segments.append(Segment(begin, end, ()))
        begin = end
    return tuple(segments)


def dense(segments: tuple[Segment, ...], device: torch.device) -> PackAttention:
    """torch's attention with the mask of the tree, [T, T]."""
    last_T = last_seers(segments).to(device)
    token_T = torch.arange(len(last_T), device=device)
    mask_TT = (token_T[None] <= token_T[:, None]) & (token_T[:, None] < last_T[None])

    def attend(
        query_QTD: torch.Tensor, key_KTD: torch.Tensor, value_KTD: torch.Tensor, scale: float
    ) -> torch.Tensor:
        heads = (query_QTD[None], key_KTD[None], value_KTD[None])
        output = torch.nn.functional.scaled_dot_product_attention(
            *heads, attn_mask=mask_TT, scale=scale, enable_gqa=True
        )
        return output[0].transpose(0, 1)

    return attend


def contestants(
    pack: Pack, batch: list[TrainSequence], device: torch.device
) -> Iterator[tuple[str, tuple[Segment, ...], Callable[[], PackAttention]]]:
    """Name, segments, and what prepares the attention over them."""
    tree, row = pack.segments, unshared(batch)
    if device.type == "cuda":
        yield "FlexAttention over the tree", tree, partial(FlexTree, tree, device)
        yield "FlexAttention, nothing shared", row, partial(FlexTree, row, device)
        yield "flash kernel, nothing shared", row, partial(flat_or_flex, row, device)
    yield "products of tiles", tree, partial(tiles, tree)
    yield "dense mask", tree, partial(dense, tree, device)


def measure(
    prepare: Callable[[], PackAttention], heads: list[torch.Tensor], repeats: int
) -> tuple[Line, list[torch.Tensor]]:
    """Times of preparing, forward, and backward, and the tensors to compare."""
    device = heads[0].device
    wait(device)
    begin = time.perf_counter()
    attend = prepare()
    wait(device)
    prepared = time.perf_counter() - begin
    forwards, backwards = [], []
    for _ in range(repeats + 1):  # the first compiles
        begin = time.perf_counter()
        output = attend(*heads, heads[0].shape[-1] ** -0.5)
        wait(device)
        forwards.append(time.perf_counter() - begin)
        direction = torch.ones_like(output)
        begin = time.perf_counter()
        gradients = torch.autograd.grad(output, heads, direction)
        wait(device)
        backwards.append(time.perf_counter() - begin)
    line = {
        "prepare_s": prepared,
        "first_s": forwards[0] + backwards[0],
        "forward_s": min(forwards[1:]),
        "backward_s": min(backwards[1:]),
    }
    return line, [output, *gradients]


def random_heads(tokens: int, shape: tuple[int, int, int], dtype: torch.dtype, device: str) -> Any:
    queries, keys, width = shape
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(n, tokens, width, generator=generator).to(device, dtype).requires_grad_()
        for n in (queries, keys, keys)
    ]


def contest(name: str, options: argparse.Namespace) -> Line:
    """All contestants at the heads of one model."""
    device, dtype = torch.device(options.device), torch.bfloat16
    batch = make_batch(options.tokens, 1000)
    pack = pack_of(batch)
    given = random_heads(pack.tokens_T.numel(), HEADS[name], dtype, options.device)
    exact_heads = [head.detach().double().requires_grad_() for head in given]
    _, exact = measure(partial(tiles, pack.segments), exact_heads, 1)
    table: Line = {}
    for contestant, segments, prepare in contestants(pack, batch, device):
        try:
            shared = segments is pack.segments
            tokens = segments[-1].end
            heads = given if shared else random_heads(tokens, HEADS[name], dtype, options.device)
            line, found = measure(prepare, heads, options.repeats)
            if shared:
                errors = (error(*pair) for pair in zip(found, exact, strict=True))
                line["errors"] = dict(zip(("output", "query", "key", "value"), errors, strict=True))
            table[contestant] = line | {"tokens": tokens}
        except RuntimeError as failure:
            table[contestant] = {"failed": str(failure).splitlines()[0]}
        print(name, contestant, json.dumps(table[contestant]), flush=True)
    return table


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return ((found.double() - exact).norm() / exact.norm()).item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", nargs="+", choices=HEADS, default=["135M", "3B"])
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--reduced", action="store_true", help="few tokens")
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    options = parser.parse_args()
    if options.reduced:
        options.tokens, options.repeats, options.models = 1200, 1, ["135M"]
    results: Line = {"device": options.device, "torch": torch.__version__}
    for name in options.models:
        results[name] = contest(name, options)
        if options.output:
            options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
