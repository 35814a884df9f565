"""The language model that learns: log-probabilities, updates, weights, saving."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.errors import UserError
from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.objective import Objective
from azr_fast.policy import attention  # noqa: F401  registers the attention over packs
from azr_fast.policy.activations import keep_less
from azr_fast.policy.device import resolve_device
from azr_fast.policy.memory import give_back
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.optimizer import MasterAdamW
from azr_fast.policy.packing import Pack, TrainSequence, make_packs

MODEL_FOLDER = "model"  # in a saved folder: what transformers and vLLM load
OPTIMIZER_FILE = "optimizer.safetensors"  # beside it: vLLM reads every such file of a model folder
_WEIGHT_FILES = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json")


@dataclass(slots=True)
class UpdateStats:
    """What one update did. Means are over trained tokens, each counted once."""

    loss: float = 0.0
    entropy: float = 0.0  # nats
    grad_norm: float = 0.0  # before the clip
    logprob_gap: float | None = None  # mean |log p here - log p when sampled|, where known
    tokens_trained: int = 0  # response tokens that entered the loss
    tokens_computed: int = 0  # tokens the model ran over, prompts included
    tokens_unshared: int = 0  # what tokens_computed would be if no two answers shared a prompt
    share_with_gradient: float = 0.0  # of response tokens: those whose advantage is not zero
    packs: int = 0
    learning_rate: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)  # by phase


class Policy:
    """A causal language model in `model.dtype`, trained with fp32 master weights.

    `temperature` is the sampling temperature: updates use the distribution that was sampled from.
    """

    def __init__(
        self, files: ModelFiles, model: ModelConfig, update: UpdateConfig, temperature: float
    ) -> None:
        self._files = files
        self._update = update
        self._temperature = temperature
        self.device = resolve_device(model.device)
        self._model = _load_model(files.folder, getattr(torch, model.dtype)).to(self.device)
        if update.recompute:
            self._model.gradient_checkpointing_enable()
            self._model.train()
        else:
            keep_less(self._model)
        self._backbone = self._model.base_model
        self._head: torch.nn.Parameter = self._model.get_output_embeddings().weight
        self._optimizer = MasterAdamW(self._model.named_parameters(), update)

    def update(
        self,
        batch: Sequence[TrainSequence],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> UpdateStats:
        """One AdamW step on the whole batch. `on_progress` gets tokens done and tokens in all.

        Answers that cannot move the weights (no advantage and no entropy bonus) are not computed.
        Raises ValueError for advantages or weights that are not finite, FloatingPointError for a
        gradient that is not finite; weights are unchanged then.
        """
        stats = UpdateStats(learning_rate=self._optimizer.learning_rate())
        clock = _Clock(stats.seconds)
        steering = [s for s in batch if s.weight and (s.advantage or self._update.entropy)]
        packs = make_packs(steering, self._update.pack_tokens)
        total = sum(pack.tokens_T.numel() for pack in packs)
        self._optimizer.begin()
        clock.lap("pack")
        sums = _Sums()
        for pack in packs:
            self._accumulate(pack, steering, sums, clock)
            stats.tokens_computed += pack.tokens_T.numel()
            if on_progress is not None:
                on_progress(stats.tokens_computed, total)
        if packs:
            stats.grad_norm = self._optimizer.step()
        give_back()
        clock.lap("optimizer")
        stats.packs = len(packs)
        stats.tokens_unshared = sum(len(s.prompt_ids) + len(s.response_ids) - 1 for s in steering)
        stats.share_with_gradient = _share_with_gradient(batch)
        sums.write(stats)
        return stats

    def _accumulate(
        self, pack: Pack, batch: Sequence[TrainSequence], sums: _Sums, clock: _Clock
    ) -> None:
        """Forward, head and backward of one pack; adds its gradient to the optimizer's."""
        hidden_TH = self._hidden(pack)
        clock.lap("forward")
        advantage_N, weight_N = (
            torch.tensor(values, device=self.device)[pack.owners_N]
            for values in ([s.advantage for s in batch], [s.weight for s in batch])
        )
        predictors_N = pack.predictors_N.to(self.device)
        result = linear_policy_loss(
            hidden_TH.detach()[predictors_N],
            self._head,
            pack.targets_N.to(self.device),
            Objective(advantage_N, weight_N, entropy_weight=self._update.entropy),
            self._optimizer.gradient(self._head),
            temperature=self._temperature,
            implementation=self._update.loss,
        )
        d_hidden_TH = torch.zeros_like(hidden_TH).index_add_(0, predictors_N, result.d_hidden_NH)
        clock.lap("head")
        hidden_TH.backward(d_hidden_TH)  # type: ignore[no-untyped-call]
        clock.lap("backward")
        sums.loss += result.loss_N.sum().item()
        sums.entropy += result.entropy_N.sum().item()
        sums.tokens += pack.trained
        sums.add_gap(pack, batch, result.logp_N)

    def _hidden(self, pack: Pack) -> torch.Tensor:
        """Hidden states [T, H] after the final norm."""
        output = self._backbone(
            input_ids=pack.tokens_T.to(self.device)[None],
            position_ids=pack.positions_T.to(self.device)[None],
            segments=pack.segments,
            use_cache=False,
        )
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden

    @torch.no_grad()
    def logprobs(self, sequences: Sequence[tuple[int, ...]]) -> list[list[float]]:
        """Log p(token t | tokens before t) for t = 1.. of each sequence, at temperature 1."""
        batch = [TrainSequence(ids[:1], ids[1:], 0.0, 0.0, None) for ids in sequences]
        result: list[list[float]] = [[] for _ in sequences]
        for pack in make_packs(batch, self._update.pack_tokens):
            scored = linear_logprob(
                self._hidden(pack)[pack.predictors_N.to(self.device)],
                self._head,
                pack.targets_N.to(self.device),
                implementation=self._update.loss,
            )
            for owner, logp in zip(pack.owners_N.tolist(), scored.logp_N.tolist(), strict=True):
                result[owner].append(logp)
        return result

    def named_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """All weights by their Hugging Face names, `lm_head.weight` too when it is tied."""
        names = set()
        for name, parameter in self._model.named_parameters():
            names.add(name)
            yield name, parameter.detach()
        if "lm_head.weight" not in names:
            yield "lm_head.weight", self._head.detach()

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder `model` with tokenizer, and beside it what `load` needs."""
        model = folder / MODEL_FOLDER
        model.mkdir(parents=True, exist_ok=True)
        self._model.save_pretrained(model)
        _copy_all_but_weights(self._files.folder, model)
        state = self._optimizer.state() | {"torch_rng": torch.get_rng_state()}
        safetensors.torch.save_file(state, folder / OPTIMIZER_FILE)

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote: weights, optimizer and torch's random state.

        Raises UserError when the folder's optimizer state cannot be read.
        """
        try:
            state = safetensors.torch.load_file(folder / OPTIMIZER_FILE)
        except (OSError, safetensors.SafetensorError) as error:
            raise UserError(
                f"cannot read {folder / OPTIMIZER_FILE} ({error}): resume from an older checkpoint"
            ) from error
        torch.set_rng_state(state["torch_rng"])
        self._optimizer.restore(state)


def _copy_all_but_weights(source: Path, target: Path) -> None:
    """Tokenizer, chat template, licence: files that `target` lacks. An index of weights would name
    files of the source, however the target's are cut."""
    for path in source.iterdir():
        wanted = path.is_file() and not path.name.endswith(_WEIGHT_FILES)
        if wanted and not (target / path.name).exists():
            shutil.copyfile(path, target / path.name)


class _Clock:
    """Adds up seconds by phase."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._since = time.perf_counter()

    def lap(self, phase: str) -> None:
        now = time.perf_counter()
        self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._since
        self._since = now


@dataclass(slots=True)
class _Sums:
    """Sums over the tokens of a batch."""

    loss: float = 0.0
    entropy: float = 0.0
    tokens: int = 0
    gap: float = 0.0
    gap_tokens: int = 0

    def add_gap(self, pack: Pack, batch: Sequence[TrainSequence], logp_N: torch.Tensor) -> None:
        """Compare with the log-probs of sampling time. Tokens of an answer lie together."""
        begin = 0
        owners, lengths = torch.unique_consecutive(pack.owners_N, return_counts=True)
        for owner, length in zip(owners.tolist(), lengths.tolist(), strict=True):
            sampled = batch[owner].behaviour_logprobs
            if sampled is not None:
                here = logp_N[begin : begin + length].cpu()
                self.gap += (here - torch.tensor(sampled)).abs().sum().item()
                self.gap_tokens += length
            begin += length

    def write(self, stats: UpdateStats) -> None:
        stats.loss = self.loss
        stats.entropy = self.entropy / max(1, self.tokens)
        stats.tokens_trained = self.tokens
        stats.logprob_gap = self.gap / self.gap_tokens if self.gap_tokens else None


def _share_with_gradient(batch: Sequence[TrainSequence]) -> float:
    tokens = sum(len(s.response_ids) for s in batch)
    return sum(len(s.response_ids) for s in batch if s.advantage and s.weight) / max(1, tokens)


def _load_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model in evaluation mode (no dropout), ready for packs."""
    disable_progress_bar()  # of loading, which takes a second
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="segments"
    )
    if getattr(model.get_output_embeddings(), "bias", None) is not None:
        raise UserError(f"{folder}: the model's head has a bias, which is not supported yet")
    for key in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        if getattr(model.config, key, None) not in (None, 1, 1.0):
            raise UserError(f"{folder}: the model's head uses {key}, which is not supported yet")
    return model.eval()
