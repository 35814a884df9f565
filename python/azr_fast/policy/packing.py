"""Packed sequences without padding in which equal beginnings of prompts are computed once.

A pack is one long row of tokens made of *segments*, the nodes of a tree: prompts that begin alike
hang from the segment of what they share, answers hang from the end of their prompt. A token sees
its own segment causally and every segment above it, and no other. Positions count along the path
from the root, so the model computes for every answer what it would compute for prompt + answer
alone (policy/attention.py enforces who sees whom).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import torch


@dataclass(frozen=True, slots=True)
class TrainSequence:
    """One conversation to learn from: what it began with, and all that came after.

    The batch loss is the sum over answers and their tokens of
    ``-weight * (advantage * log p + entropy_coefficient * entropy)``, or what policy/objective.py
    makes of the config: whoever makes the batch normalises by `weight` (1 / tokens of the batch
    gives the token mean).
    """

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    advantage: float
    weight: float
    behaviour_logprobs: tuple[float, ...] | None  # of the sampled tokens, when they were sampled
    # Which of response_ids the model sampled; the others are what it was shown between its turns:
    # it sees them, and they are not trained on. None: all were.
    sampled: tuple[bool, ...] | None = None
    reference_logprobs: tuple[float, ...] | None = None  # of the sampled tokens, for the KL term
    clip_high: float | None = None  # of this answer; None: `update.clip_high`

    @property
    def trained(self) -> int:
        """How many tokens are learnt from."""
        return len(self.response_ids) if self.sampled is None else sum(self.sampled)

    @property
    def computed(self) -> int:
        """How many of response_ids the model runs over: up to the last that predicts one."""
        if self.sampled is None:
            return len(self.response_ids) - 1
        return max((i for i, one in enumerate(self.sampled) if one), default=0)


Ranges = tuple[tuple[int, int], ...]  # [begin, end) of tokens of a pack, in order


class Segment(NamedTuple):
    """Tokens [begin, end) see themselves causally, and all tokens of the `prefix` ranges."""

    begin: int
    end: int
    prefix: Ranges


@dataclass(frozen=True, slots=True)
class Pack:
    """What one forward pass computes. T tokens, of which N are learnt from."""

    tokens_T: torch.Tensor  # int64
    positions_T: torch.Tensor  # int64
    segments: tuple[Segment, ...]
    predictors_N: torch.Tensor  # int64: the token whose hidden state predicts target n
    targets_N: torch.Tensor  # int64: token ids
    owners_N: torch.Tensor  # int64: index into the batch

    @property
    def trained(self) -> int:
        """N."""
        return self.targets_N.numel()

    def per_token(self, values: Sequence[Sequence[float]]) -> torch.Tensor:
        """Float32 [N] from a number for each sampled token of each answer of the batch. The tokens
        of an answer lie together in a pack, in their order."""
        owners = torch.unique_consecutive(self.owners_N).tolist()
        return torch.tensor([value for owner in owners for value in values[owner]])

    def per_answer(self, values: Sequence[float]) -> torch.Tensor:
        """Float32 [N] from a number for each answer of the batch."""
        return torch.tensor(values, dtype=torch.float32)[self.owners_N]


@dataclass(slots=True)
class _Group:
    """Answers (indices into the batch) to one prompt, computed in one pack."""

    prompt_ids: tuple[int, ...]
    members: list[int] = field(default_factory=list)
    tokens: int = 0


def make_packs(batch: Sequence[TrainSequence], pack_tokens: int) -> list[Pack]:
    """Packs of at most `pack_tokens` tokens that hold every answer of `batch` once.

    Only a single answer that with its prompt is longer makes a longer pack. Answers without sampled
    tokens are left out. The last sampled token of an answer is never
    computed, nor what follows it: they predict nothing. Raises
    ValueError when a prompt is empty, since nothing would predict the first token.
    """
    packs: list[list[_Group]] = []
    room = 0
    # In sorted order a prompt shares most with its neighbours.
    for group in sorted(_groups(batch, pack_tokens), key=lambda g: g.prompt_ids):
        shared = _shared(packs[-1][-1].prompt_ids, group.prompt_ids) if packs else 0
        if not packs or group.tokens - shared > room:
            packs.append([])
            room, shared = pack_tokens, 0
        packs[-1].append(group)
        room -= group.tokens - shared
    return [_pack(groups, batch) for groups in packs]


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many tokens both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _groups(batch: Sequence[TrainSequence], pack_tokens: int) -> list[_Group]:
    """Answers by prompt, in order of appearance; a group too large for a pack is split."""
    groups: list[_Group] = []
    open_group: dict[tuple[int, ...], _Group] = {}
    for index, sequence in enumerate(batch):
        if not sequence.trained:
            continue
        if not sequence.prompt_ids:
            raise ValueError(f"sequence {index} of the batch has an empty prompt")
        new = sequence.computed
        group = open_group.get(sequence.prompt_ids)
        if group is None or group.tokens + new > pack_tokens:
            group = _Group(sequence.prompt_ids, tokens=len(sequence.prompt_ids))
            open_group[sequence.prompt_ids] = group
            groups.append(group)
        group.members.append(index)
        group.tokens += new
    return groups


class _Rows:
    """The columns of a pack while it is being filled."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.segments: list[Segment] = []
        self.predictors: list[int] = []
        self.targets: list[int] = []
        self.owners: list[int] = []

    def add_segment(self, ids: Sequence[int], position: int, prefix: Ranges) -> Ranges:
        """Append tokens whose first has `position`; returns what a segment below them sees."""
        if not ids:
            return prefix
        begin, end = len(self.tokens), len(self.tokens) + len(ids)
        self.tokens.extend(ids)
        self.positions.extend(range(position, position + len(ids)))
        self.segments.append(Segment(begin, end, prefix))
        if prefix and prefix[-1][1] == begin:
            return (*prefix[:-1], (prefix[-1][0], end))
        return (*prefix, (begin, end))

    def add_answer(self, owner: int, sequence: TrainSequence, prompt: Ranges) -> None:
        """Append what follows the prompt that lies in these ranges."""
        length = sum(end - begin for begin, end in prompt)
        begin, end = len(self.tokens), len(self.tokens) + sequence.computed
        predictors = (prompt[-1][1] - 1, *range(begin, end))
        self.add_segment(sequence.response_ids[: sequence.computed], length, prompt)
        for i, (predictor, target) in enumerate(
            zip(predictors, sequence.response_ids, strict=False)
        ):
            if sequence.sampled is None or sequence.sampled[i]:
                self.predictors.append(predictor)
                self.targets.append(target)
                self.owners.append(owner)

    def add_prompts(
        self, groups: Sequence[_Group], depth: int, prefix: Ranges, batch: Sequence[TrainSequence]
    ) -> None:
        """Append sorted prompts that share their first `depth` tokens, those of `prefix`."""
        first = groups[0].prompt_ids
        shared = _shared(first, groups[-1].prompt_ids)
        prefix = self.add_segment(first[depth:shared], depth, prefix)
        for following, branch in groupby(groups, key=lambda g: g.prompt_ids[shared : shared + 1]):
            if following:
                self.add_prompts(list(branch), shared, prefix, batch)
                continue
            for owner in (owner for group in branch for owner in group.members):
                self.add_answer(owner, batch[owner], prefix)


def _pack(groups: Sequence[_Group], batch: Sequence[TrainSequence]) -> Pack:
    """A pack of sorted groups."""
    rows = _Rows()
    rows.add_prompts(groups, 0, (), batch)
    return Pack(
        tokens_T=torch.tensor(rows.tokens),
        positions_T=torch.tensor(rows.positions),
        segments=tuple(rows.segments),
        predictors_N=torch.tensor(rows.predictors),
        targets_N=torch.tensor(rows.targets),
        owners_N=torch.tensor(rows.owners),
    )
