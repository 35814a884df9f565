"""Packed sequences without padding in which answers to one prompt share its computation.

A pack is one long row of tokens made of *segments*. A prompt is a segment of its own; every answer
to it is a segment whose tokens also see the prompt's, and no other answer's. Positions of an answer
continue those of its prompt, so the model computes for every answer what it would compute for
prompt + answer alone (policy/attention.py enforces who sees whom).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch


@dataclass(frozen=True, slots=True)
class TrainSequence:
    """One sampled answer to learn from.

    The batch loss is the sum over answers and their tokens of
    ``-weight * (advantage * log p + entropy_coefficient * entropy)``: whoever makes the batch
    normalises by `weight` (1 / tokens of the batch gives the token mean).
    """

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    advantage: float
    weight: float
    behaviour_logprobs: tuple[float, ...] | None  # of response_ids, when they were sampled


class Segment(NamedTuple):
    """Tokens [begin, end) see themselves causally, and all of [prefix_begin, prefix_end)."""

    begin: int
    end: int
    prefix_begin: int
    prefix_end: int


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


@dataclass(slots=True)
class _Group:
    """Answers (indices into the batch) to one prompt, computed in one pack."""

    prompt_ids: tuple[int, ...]
    members: list[int] = field(default_factory=list)
    tokens: int = 0


def make_packs(batch: Sequence[TrainSequence], pack_tokens: int) -> list[Pack]:
    """Packs of at most `pack_tokens` tokens that hold every answer of `batch` once.

    Only a single answer that with its prompt is longer makes a longer pack. Answers without tokens
    are left out. The last token of an answer is never computed: it predicts nothing. Raises
    ValueError when a prompt is empty, since nothing would predict the first token.
    """
    bins: list[list[_Group]] = []
    room: list[int] = []
    for group in sorted(_groups(batch, pack_tokens), key=lambda g: -g.tokens):
        fits = (i for i, free in enumerate(room) if group.tokens <= free)
        i = next(fits, len(bins))
        if i == len(bins):
            bins.append([])
            room.append(pack_tokens)
        bins[i].append(group)
        room[i] -= group.tokens
    return [_pack(groups, batch) for groups in bins]


def _groups(batch: Sequence[TrainSequence], pack_tokens: int) -> list[_Group]:
    """Answers by prompt, in order of appearance; a group too large for a pack is split."""
    groups: list[_Group] = []
    open_group: dict[tuple[int, ...], _Group] = {}
    for index, sequence in enumerate(batch):
        if not sequence.response_ids:
            continue
        if not sequence.prompt_ids:
            raise ValueError(f"sequence {index} of the batch has an empty prompt")
        new = len(sequence.response_ids) - 1
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

    def add_segment(self, ids: Sequence[int], position: int, prefix: tuple[int, int]) -> int:
        """Append tokens whose first has `position`; returns where they begin."""
        begin = len(self.tokens)
        self.tokens.extend(ids)
        self.positions.extend(range(position, position + len(ids)))
        if ids:
            self.segments.append(Segment(begin, len(self.tokens), *prefix))
        return begin

    def add_answer(self, owner: int, response_ids: Sequence[int], prompt: tuple[int, int]) -> None:
        """Append one answer to the prompt at [prompt[0], prompt[1])."""
        begin = self.add_segment(response_ids[:-1], prompt[1] - prompt[0], prompt)
        self.predictors.append(prompt[1] - 1)
        self.predictors.extend(range(begin, len(self.tokens)))
        self.targets.extend(response_ids)
        self.owners.extend([owner] * len(response_ids))


def _pack(groups: Sequence[_Group], batch: Sequence[TrainSequence]) -> Pack:
    rows = _Rows()
    for group in groups:
        begin = rows.add_segment(group.prompt_ids, 0, (0, 0))
        prompt = (begin, begin + len(group.prompt_ids))
        for owner in group.members:
            rows.add_answer(owner, batch[owner].response_ids, prompt)
    return Pack(
        tokens_T=torch.tensor(rows.tokens),
        positions_T=torch.tensor(rows.positions),
        segments=tuple(rows.segments),
        predictors_N=torch.tensor(rows.predictors),
        targets_N=torch.tensor(rows.targets),
        owners_N=torch.tensor(rows.owners),
    )
