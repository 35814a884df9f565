"""Random packs, and who sees whom in them as a dense mask."""

import random

import torch

from azr_fast.policy.packing import Pack, Segment, TrainSequence, make_packs


def random_pack(seed, longest=150) -> Pack:
    """One pack of answers to prompts that share beginnings at several depths, or share nothing.

    No stretch is longer than `longest` tokens."""
    rng = random.Random(seed)
    prompts: list[tuple[int, ...]] = [()]
    for number in range(rng.randint(1, 6)):
        prompts.append((*rng.choice(prompts), *[number] * rng.randint(1, longest)))
    batch = [
        TrainSequence(rng.choice(prompts[1:]), (9,) * rng.randint(1, longest), 1.0, 1.0, None)
        for _ in range(rng.randint(1, 6))
    ]
    (pack,) = make_packs(batch, 2**20)
    return pack


def dense_mask(segments: tuple[Segment, ...]) -> torch.Tensor:
    """[T, T]: whether a query (row) sees a key (column), pair by pair."""
    tokens = segments[-1].end
    mask = torch.zeros(tokens, tokens, dtype=torch.bool)
    for begin, end, prefix in segments:
        for start, stop in prefix:
            mask[begin:end, start:stop] = True
        mask[begin:end, begin:end] = torch.ones(end - begin, end - begin).tril().bool()
    return mask
