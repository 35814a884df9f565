"""Generation with torch and transformers alone: one batch at a time, whoever is queued.

Slower than vLLM, and it runs wherever torch does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from azr_fast.config.schema import ModelConfig, RolloutConfig
from azr_fast.errors import NotFinite
from azr_fast.policy.device import resolve_device
from azr_fast.policy.loading import load_model
from azr_fast.policy.models import ModelFiles
from azr_fast.rollout.checksum import checksum
from azr_fast.rollout.engine import (
    Completion,
    EngineDied,
    Request,
    check_room,
    longest_generation,
)
from azr_fast.rollout.stops import Stops
from azr_fast.types import Sampling


class TransformersEngine:
    """`Engine` over a model of its own. A batch is filled from the queue, shortest prompts first,
    and decoded to its end; finished rows leave it on the way."""

    name = "transformers"

    def __init__(
        self,
        config: RolloutConfig,
        files: ModelFiles,
        stops: Stops,
        model: ModelConfig,
    ) -> None:
        self._config = config
        self._stops = stops
        self._max_tokens = longest_generation(config, files)
        self._device = resolve_device(model.device)
        self._dtype = getattr(torch, model.dtype)
        self._queue: list[Request] = []
        self._batch: _Batch | None = None
        self._generated = 0
        self._model: Any = self._load(files)

    def _load(self, files: ModelFiles) -> Any:
        return load_model(files, self._dtype).to(self._device).requires_grad_(False)

    def restart(self, files: ModelFiles) -> None:
        """Load the model anew, in place of one that died."""
        self.close()
        self._model = self._load(files)

    def submit(self, request: Request) -> None:
        """Queue a generation. The prompt and its answer must fit the model."""
        check_room(request, self._max_tokens)
        self._queue.append(request)

    @torch.inference_mode()
    def poll(self) -> list[Completion]:
        """One token for every row of the batch; a new batch when there is none."""
        try:
            if self._batch is None and not self._fill():
                return []
            assert self._batch is not None
            self._generated += len(self._batch.rows)
            done = self._batch.step()
        except (RuntimeError, MemoryError) as error:
            raise EngineDied(self.name, error) from error
        if not self._batch.rows:
            self._batch = None
        return done

    def in_batch(self) -> bool:
        """Whether a batch is being decoded; nothing can join it."""
        return self._batch is not None

    def cancel(self) -> None:
        """Forget every request that has not finished."""
        self._queue.clear()
        self._batch = None

    def generated_tokens(self) -> int:
        """Tokens sampled since the engine started."""
        return self._generated

    @torch.inference_mode()
    def update_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Copy named weights in place. KeyError for a name the model does not have."""
        assert self._batch is None, "update_weights() while a batch is decoded"
        assert not self._queue, "update_weights() while requests are queued"
        own = dict(self._model.named_parameters(remove_duplicate=False))
        for name, weight in weights:
            own[name].copy_(weight)

    def differing(self, checksums: Mapping[str, int]) -> list[str]:
        """Names of weights that are not as these checksums say."""
        own = dict(self._model.named_parameters(remove_duplicate=False))
        wrong = {n for n, v in checksums.items() if n not in own or checksum(own[n]) != v}
        return sorted(wrong | (own.keys() - checksums.keys()))

    def close(self) -> None:
        """Free the model. Idempotent."""
        self._model = self._batch = None
        self._queue.clear()

    def _fill(self) -> bool:
        """Start a batch from the queue; False when the queue is empty."""
        if not self._queue:
            return False
        # Little padding, and the same batches in whatever order requests came.
        self._queue.sort(key=lambda request: (len(request.prompt_ids), request.id))
        rows = self._queue[: self._config.concurrency]
        del self._queue[: self._config.concurrency]
        self._batch = _Batch(self._model, [_Row(r, self._stops) for r in rows], self._device)
        return True


class _Row:
    """One request of a batch and what was sampled for it."""

    def __init__(self, request: Request, stops: Stops) -> None:
        self.request = request
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self._stops = stops
        # All the randomness of the request, drawn at once: it cannot depend on the batch.
        generator = torch.Generator().manual_seed(request.seed)
        most = request.sampling.max_tokens
        self.uniforms = torch.rand(most, generator=generator, dtype=torch.float64)

    def completion(self) -> Completion | None:
        """The finished generation, or None while there is more to sample."""
        stop = self._stops.stop(self.token_ids, self.request.sampling)
        if stop is None:
            return None
        return Completion(self.request.id, tuple(self.token_ids), tuple(self.logprobs), stop)


class _Batch:
    """Rows decoded together. Prompts are padded on the left, so that all rows end together."""

    def __init__(self, model: Any, rows: list[_Row], device: torch.device) -> None:
        self.rows = rows
        self._model = model
        requests = [row.request for row in rows]
        width = max(len(request.prompt_ids) for request in requests)
        pads = [width - len(request.prompt_ids) for request in requests]
        ids = [(0,) * pad + r.prompt_ids for pad, r in zip(pads, requests, strict=True)]
        self._input_BT = torch.tensor(ids, device=device)
        self._pads_B = torch.tensor(pads, device=device)
        self._cache = DynamicCache(config=model.config)
        self._live: list[int] = list(range(len(requests)))  # row of the tensors, of each of `rows`

    def step(self) -> list[Completion]:
        """Sample one token for every row; rows that end leave."""
        logits_BV = self._forward()[self._live]
        uniforms_B = torch.stack([row.uniforms[len(row.token_ids)] for row in self.rows])
        tokens_B, logprobs_B = sample(
            logits_BV, uniforms_B, [row.request.sampling for row in self.rows]
        )
        for row, token, logprob in zip(
            self.rows, tokens_B.tolist(), logprobs_B.tolist(), strict=True
        ):
            row.token_ids.append(token)
            row.logprobs.append(logprob)
        self._input_BT = self._input_BT.new_zeros(len(self._pads_B), 1)  # ended rows are fed a 0
        self._input_BT[self._live, 0] = tokens_B
        return self._drop_ended()

    def _forward(self) -> torch.Tensor:
        """Logits [B, V] of the next token."""
        past = self._cache.get_seq_length()
        total = past + self._input_BT.shape[1]
        columns_S = torch.arange(total, device=self._pads_B.device)
        positions_BT = columns_S[past:] - self._pads_B[:, None]
        output = self._model(
            input_ids=self._input_BT,
            attention_mask=(columns_S >= self._pads_B[:, None]).long(),
            position_ids=positions_BT.clamp(min=0),
            past_key_values=self._cache,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _drop_ended(self) -> list[Completion]:
        """Take ended rows out; shrink the tensors once a quarter of them is of no use."""
        done = [row.completion() for row in self.rows]
        self._live = [at for at, end in zip(self._live, done, strict=True) if end is None]
        self.rows = [row for row, end in zip(self.rows, done, strict=True) if end is None]
        if self.rows and len(self._live) <= 0.75 * len(self._pads_B):
            keep = torch.tensor(self._live, device=self._pads_B.device)
            self._cache.batch_select_indices(keep)
            self._input_BT, self._pads_B = self._input_BT[keep], self._pads_B[keep]
            self._live = list(range(len(self.rows)))
        return [end for end in done if end is not None]


def sample(
    logits_BV: torch.Tensor, uniforms_B: torch.Tensor, samplings: Sequence[Sampling]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [B] and their log-probs [B] by inversion of the cumulative distribution.

    `uniforms_B` in [0, 1) decide. Log-probs are of the distribution sampled from: after
    temperature, and renormalised over the nucleus of mass `top_p`. At temperature 0 the most likely
    token is taken, and both count as 1. Raises NotFinite.
    """
    temperature_B, top_p_B = (
        torch.tensor(values, device=logits_BV.device)
        for values in zip(
            *((s.temperature, s.top_p) if s.temperature else (1.0, 1.0) for s in samplings),
            strict=True,
        )
    )
    logp_BV = torch.log_softmax(logits_BV.float() / temperature_B[:, None], -1)
    if (top_p_B < 1.0).any():
        logp_BV = _nucleus(logp_BV, top_p_B)
    cumulative_BV = logp_BV.double().exp_().cumsum_(-1)
    total_B = cumulative_BV[:, -1]
    if not total_B.isfinite().all():
        raise NotFinite
    threshold_B = uniforms_B.to(logits_BV.device) * total_B
    tokens_B = torch.searchsorted(cumulative_BV, threshold_B[:, None], right=True)[:, 0]
    greedy_B = torch.tensor([s.temperature == 0.0 for s in samplings], device=logits_BV.device)
    tokens_B = torch.where(greedy_B, logp_BV.argmax(-1), tokens_B)
    return tokens_B, logp_BV.gather(1, tokens_B[:, None])[:, 0]


def _nucleus(logp_BV: torch.Tensor, top_p_B: torch.Tensor) -> torch.Tensor:
    """Log-probs over the fewest most likely tokens whose mass reaches `top_p`; −inf elsewhere.
    Rows with a `top_p` of 1 stay as they are."""
    sorted_BV, order_BV = logp_BV.sort(-1, descending=True)
    mass_before_BV = sorted_BV.exp().cumsum(-1) - sorted_BV.exp()
    outside_BV = (mass_before_BV >= top_p_B[:, None]) & (top_p_B[:, None] < 1.0)
    kept_BV = sorted_BV.masked_fill(outside_BV, -torch.inf)
    nucleus_BV = torch.full_like(logp_BV, -torch.inf).scatter(1, order_BV, kept_BV)
    return torch.where(top_p_B[:, None] < 1.0, nucleus_BV.log_softmax(-1), logp_BV)
