"""Inputs of the kernel benchmark and what fp64 says about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

CLIP = 0.2
SAMPLE = 64  # tokens and words whose gradients are compared with fp64
CHUNK = 512  # tokens of the reference


class Shape(NamedTuple):
    """A head and how many sequences of how many tokens it sees."""

    width: int
    vocabulary: int
    sequences: int
    length: int

    @property
    def tokens(self) -> int:
        """Of all sequences."""
        return self.sequences * self.length

    @property
    def product_flop(self) -> float:
        """Of one of the head's products."""
        return 2.0 * self.tokens * self.width * self.vocabulary


MODELS = {  # in the order in which they are measured: goals are set for the first
    "7B": Shape(3584, 152064, 16, 1024),
    "3B": Shape(2048, 151936, 16, 1024),
    "0.5B": Shape(896, 151936, 16, 1024),
    "SmolLM2": Shape(576, 49152, 16, 1024),
}
REDUCED = {"reduced": Shape(64, 1003, 4, 24)}


class Inputs(NamedTuple):
    """Of every contestant; none changes them. Float32 per token, the rest bfloat16."""

    hidden_TH: torch.Tensor
    weight_VH: torch.Tensor
    targets_T: torch.Tensor
    advantage_T: torch.Tensor  # the same for all tokens of a sequence
    behaviour_T: torch.Tensor
    shape: Shape


class Outcome(NamedTuple):
    """What a contestant computed; gradients of the loss summed over tokens."""

    logp_T: torch.Tensor | None
    d_hidden_TH: torch.Tensor | None = None
    d_weight_VH: torch.Tensor | None = None


class Reference(NamedTuple):
    """Fp64: log-probabilities of all tokens, gradients of some tokens and words."""

    logp_T: torch.Tensor
    entropy_T: torch.Tensor
    tokens_S: torch.Tensor
    d_hidden_SH: torch.Tensor
    words_S: torch.Tensor
    d_weight_SH: torch.Tensor


def make_inputs(shape: Shape, device: torch.device) -> Inputs:
    """Logits of standard deviation 3, ratios to the behaviour policy some 10% off 1."""
    generator = torch.Generator(device).manual_seed(0)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator, device=device)

    hidden = (normal(shape.tokens, shape.width) * 3 / shape.width**0.5).bfloat16()
    weight = normal(shape.vocabulary, shape.width).bfloat16()
    targets = torch.randint(shape.vocabulary, (shape.tokens,), generator=generator, device=device)
    advantage = normal(shape.sequences).repeat_interleave(shape.length)
    inputs = Inputs(hidden, weight, targets, advantage, torch.zeros_like(advantage), shape)
    logp = torch.cat([logp for _, logp, *_ in _chunks(inputs)])
    return inputs._replace(behaviour_T=logp.float() + 0.1 * normal(shape.tokens))


def _chunks(inputs: Inputs) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Chunk by chunk in fp64: token indices, log p of the targets, log p of all words."""
    weight = inputs.weight_VH.double()
    for index in torch.arange(inputs.shape.tokens, device=weight.device).split(CHUNK):
        logp_CV = (inputs.hidden_TH[index].double() @ weight.T).log_softmax(1)
        yield index, logp_CV.gather(1, inputs.targets_T[index, None])[:, 0], logp_CV


def reference(inputs: Inputs) -> Reference:
    """PPO's clipped loss, summed over tokens: d loss / d logits = (p - [target]) A ratio where the
    ratio is not clipped."""
    words = inputs.targets_T[:SAMPLE].unique()
    step = -(-inputs.shape.tokens // SAMPLE)
    tokens = torch.arange(0, inputs.shape.tokens, step, device=words.device)
    logps, entropies, d_hiddens = [], [], []
    d_weight = inputs.weight_VH.new_zeros(len(words), inputs.shape.width, dtype=torch.float64)
    for index, logp, logp_CV in _chunks(inputs):
        advantage = inputs.advantage_T[index].double()
        ratio = (logp - inputs.behaviour_T[index].double()).exp()
        clipped = ratio * advantage > ratio.clamp(1 - CLIP, 1 + CLIP) * advantage
        coefficient = torch.where(clipped, 0.0, ratio * advantage)
        logps.append(logp)
        entropies.append(-(logp_CV.exp() * logp_CV).sum(1))
        d_logits = logp_CV.exp_().mul_(coefficient[:, None])
        d_logits.scatter_add_(1, inputs.targets_T[index, None], -coefficient[:, None])
        d_weight += d_logits[:, words].T @ inputs.hidden_TH[index].double()
        sampled = d_logits[(index % step == 0).nonzero()[:, 0]]
        d_hiddens.append(sampled @ inputs.weight_VH.double())
    return Reference(
        torch.cat(logps), torch.cat(entropies), tokens, torch.cat(d_hiddens), words, d_weight
    )


def errors(outcome: Outcome, expected: Reference) -> dict[str, float]:
    """Relative Frobenius errors of what there is."""
    pairs = {}
    if outcome.logp_T is not None:
        pairs["logp"] = outcome.logp_T, expected.logp_T
    if outcome.d_hidden_TH is not None:
        pairs["d_hidden"] = outcome.d_hidden_TH[expected.tokens_S], expected.d_hidden_SH
    if outcome.d_weight_VH is not None:
        pairs["d_weight"] = outcome.d_weight_VH[expected.words_S], expected.d_weight_SH
    return {
        f"error_{name}": ((got.double() - want).norm() / want.norm()).item()
        for name, (got, want) in pairs.items()
    }
