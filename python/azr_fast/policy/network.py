"""A causal language model as packs need it: hidden states, and log-probabilities of answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.policy.attention import choose_attention
from azr_fast.policy.loading import load_on_device
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.packing import Pack, TrainSequence, make_packs


class Network:
    """The layers of a model and its head."""

    def __init__(self, model: PreTrainedModel, update: UpdateConfig) -> None:
        self.backbone = model.base_model
        self.head: torch.nn.Parameter = model.get_output_embeddings().weight
        self.attention = choose_attention(
            update.attention, self.head.device, model.config, model.dtype
        )
        self._update = update

    def hidden(self, pack: Pack) -> torch.Tensor:
        """Hidden states [T, H] after the final norm."""
        device = self.head.device
        output = self.backbone(
            input_ids=pack.tokens_T.to(device)[None],
            position_ids=pack.positions_T.to(device)[None],
            segments=self.attention.prepare(pack.segments),
            use_cache=False,
        )
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden

    @torch.no_grad()
    def answer_logprobs(
        self, batch: Sequence[TrainSequence], temperature: float
    ) -> list[list[float]]:
        """Log-probs of every answer's sampled tokens at this temperature, in nats."""
        result: list[list[float]] = [[] for _ in batch]
        for pack in make_packs(batch, self._update.pack_tokens):
            scored = linear_logprob(
                self.hidden(pack)[pack.predictors_N.to(self.head.device)],
                self.head,
                pack.targets_N.to(self.head.device),
                temperature=temperature,
                implementation=self._update.loss,
            )
            for owner, logp in zip(pack.owners_N.tolist(), scored.logp_N.tolist(), strict=True):
                result[owner].append(logp)
        return result


def load_reference(files: ModelFiles, model: ModelConfig, update: UpdateConfig) -> Network:
    """The model that a run began with, which stays as it is: what `update.kl` pulls towards.

    It is of the policy's architecture, for which `prove` has shown that packs are computed right.
    """
    return frozen_network(load_on_device(files, model), update)


def frozen_network(model: PreTrainedModel, update: UpdateConfig) -> Network:
    """A model that does not learn, as a network."""
    model.requires_grad_(False).set_attn_implementation("segments")
    return Network(model, update)
