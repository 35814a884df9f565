"""The language model that learns: log-probabilities, updates, weights, saving."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch

from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.errors import UserError
from azr_fast.ops.linear_logprob import linear_logprob
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.ops.objective import Objective
from azr_fast.policy.activations import keep_less
from azr_fast.policy.device import resolve_device
from azr_fast.policy.loading import load_model, use_recompute
from azr_fast.policy.memory import give_back
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.optimizer import MasterAdamW
from azr_fast.policy.packing import Pack, TrainSequence, make_packs
from azr_fast.policy.proof import prove

MODEL_FOLDER = "model"  # in a saved folder: what transformers and vLLM load
OPTIMIZER_FILE = "optimizer.safetensors"  # beside it: vLLM reads every such file of a model folder
# A step is previewed on the first answers of the batch, which share a prompt: 2% of an update.
PREVIEWED_ANSWERS = 8
# Nats a token. Sound steps change what was just sampled by hundredths; a ruined model guesses,
# which is 10 nats lower with a vocabulary of 49,152.
LARGEST_FALL = 2.0
# Norm of a step over that of the weights. Sound steps have a thousandth.
LARGEST_MOVE = 0.5
_WEIGHT_FILES = (
    *(".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pth", ".pt", ".h5"),
    *(".msgpack", ".ot", ".gguf", ".onnx"),
)


@dataclass(slots=True)
class UpdateStats:
    """What one update did. Means are over trained tokens, each counted once."""

    loss: float = 0.0
    entropy: float = 0.0  # nats; over computed tokens, which lean to surprising answers
    grad_norm: float = 0.0  # before the clip
    # |log p here - log p when sampled| where known: its mean, tokens over 1 nat counted as 1 nat,
    # its maximum, and over how many tokens.
    logprob_gap: float | None = None
    logprob_gap_max: float | None = None
    gap_tokens: int = 0
    tokens_trained: int = 0  # response tokens that entered the loss
    tokens_computed: int = 0  # tokens the model ran over, prompts included
    tokens_unshared: int = 0  # what tokens_computed would be if no two answers shared a prompt
    share_with_gradient: float = 0.0  # of response tokens: those whose advantage is not zero
    packs: int = 0
    learning_rate: float = 0.0
    skipped: str = ""  # why the step was not made, where it would have done harm
    moved: bool = False  # whether a step was made
    seconds: dict[str, float] = field(default_factory=dict)  # by phase


class Policy:
    """A causal language model in `model.dtype`, trained with fp32 master weights.

    `temperature` is the sampling temperature: updates use the distribution that was sampled from.
    """

    def __init__(
        self, files: ModelFiles, model: ModelConfig, update: UpdateConfig, temperature: float
    ) -> None:
        # Checkpoints need these at any time; the folder may be gone or pruned by then.
        self._beside_weights = _all_but_weights(files.folder)
        self._update = update
        self._temperature = temperature
        self.device = resolve_device(model.device)
        self._model = load_model(files, getattr(torch, model.dtype)).to(self.device)
        if update.recompute:
            use_recompute(self._model)
        else:
            keep_less(self._model)
        prove(self._model, files.name)
        self._backbone = self._model.base_model
        self._head: torch.nn.Parameter = self._model.get_output_embeddings().weight
        self._optimizer = MasterAdamW(self._model.named_parameters(), update)

    def update(
        self,
        batch: Sequence[TrainSequence],
        on_progress: Callable[[int, int], None] | None = None,
        accept: Callable[[UpdateStats], None] = lambda stats: None,
    ) -> UpdateStats:
        """One AdamW step on the whole batch, or none: `skipped` of the result says why.

        `on_progress` gets tokens done and tokens in all. `accept` sees the statistics before any
        weight moves; what it raises leaves the weights as they were. Answers that cannot move the
        weights (no advantage and no entropy bonus) are not computed. Raises ValueError for
        advantages or weights that are not finite.
        """
        stats = UpdateStats(learning_rate=self._optimizer.learning_rate())
        clock = _Clock(stats.seconds)
        steering = [s for s in batch if self._steers(s)]
        packs = make_packs(steering, self._update.pack_tokens)
        stats.packs = len(packs)
        stats.tokens_unshared = sum(len(s.prompt_ids) + len(s.response_ids) - 1 for s in steering)
        stats.share_with_gradient = _share_with_gradient(batch)
        total = sum(pack.tokens_T.numel() for pack in packs)
        self._optimizer.begin()
        clock.lap("pack")
        sums = _Sums([0.0] * len(steering))
        for pack in packs:
            self._accumulate(pack, steering, sums, clock)
            stats.tokens_computed += pack.tokens_T.numel()
            if on_progress is not None:
                on_progress(stats.tokens_computed, total)
        sums.write(stats)
        accept(stats)
        if packs:
            self._move(steering, sums, stats)
        self._optimizer.begin()
        give_back()
        clock.lap("optimizer")
        return stats

    def _steers(self, sequence: TrainSequence) -> bool:
        """Whether an answer can move the weights."""
        return bool(
            sequence.response_ids
            and sequence.weight
            and (sequence.advantage or self._update.entropy)
        )

    def _move(self, batch: Sequence[TrainSequence], sums: _Sums, stats: UpdateStats) -> None:
        """Apply the gradient that was summed up, unless that would ruin the model."""
        norm = self._optimizer.norm()
        stats.grad_norm = norm.item()
        if not math.isfinite(stats.loss):
            stats.skipped = "the model's log-probabilities are not finite"
        elif not math.isfinite(stats.grad_norm):
            stats.skipped = f"the gradient is not finite (norm {stats.grad_norm})"
        else:
            self._move_if_sound(batch, sums, stats, norm)

    def _move_if_sound(
        self,
        batch: Sequence[TrainSequence],
        sums: _Sums,
        stats: UpdateStats,
        norm: torch.Tensor,
    ) -> None:
        """Look at the step and at what it does to a few answers; then make it or not."""
        sound, moved, fall = False, math.nan, math.nan
        try:
            moved = self._optimizer.preview(norm)
            fall = self._fall(batch[:PREVIEWED_ANSWERS], sums)
            sound = moved <= LARGEST_MOVE and fall <= LARGEST_FALL  # false for a NaN
        finally:
            if not sound:
                self._optimizer.revert()
        if sound:
            self._optimizer.step(norm)
            stats.moved = True
            return
        stats.skipped = (
            f"the step would ruin the model: it is {moved:.2g} times as large as the weights, and "
            f"what was just sampled would become {fall:.2g} nats a token less likely"
        )

    def _fall(self, answers: Sequence[TrainSequence], sums: _Sums) -> float:
        """By how many nats a token these answers are less likely now than in the gradient's
        forward pass."""
        before = sum(sums.logp_of[: len(answers)])
        after = sum(sum(logprobs) for logprobs in self.answer_logprobs(answers))
        return (before - after) / sum(len(answer.response_ids) for answer in answers)

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
        sums.add_logprobs(pack, batch, result.logp_N)

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

    def logprobs(self, sequences: Sequence[tuple[int, ...]]) -> list[list[float]]:
        """Log p(token t | tokens before t) for t = 1.. of each sequence, at temperature 1."""
        batch = [TrainSequence(ids[:1], ids[1:], 0.0, 0.0, None) for ids in sequences]
        return self._score(batch, temperature=1.0)

    def answer_logprobs(self, batch: Sequence[TrainSequence]) -> list[list[float]]:
        """Log-probs of every answer's tokens under the distribution that answers are sampled
        from."""
        return self._score(batch, self._temperature)

    @torch.no_grad()
    def _score(self, batch: Sequence[TrainSequence], temperature: float) -> list[list[float]]:
        result: list[list[float]] = [[] for _ in batch]
        for pack in make_packs(batch, self._update.pack_tokens):
            scored = linear_logprob(
                self._hidden(pack)[pack.predictors_N.to(self.device)],
                self._head,
                pack.targets_N.to(self.device),
                temperature=temperature,
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
        for name, content in self._beside_weights.items():
            if not (model / name).exists():
                (model / name).write_bytes(content)
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


def _all_but_weights(folder: Path) -> dict[str, bytes]:
    """Tokenizer, chat template, licence, by name. An index of weights would name files of this
    folder, however those of a checkpoint are cut."""
    files = (path for path in folder.iterdir() if path.is_file())
    return {p.name: p.read_bytes() for p in files if not p.name.endswith(_WEIGHT_FILES)}


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

    logp_of: list[float]  # by answer
    loss: float = 0.0
    entropy: float = 0.0
    tokens: int = 0
    gap: float = 0.0
    gap_max: float = 0.0
    gap_tokens: int = 0

    def add_logprobs(
        self, pack: Pack, batch: Sequence[TrainSequence], logp_N: torch.Tensor
    ) -> None:
        """Take in the log-probs of a pack, in which the tokens of an answer lie together."""
        owners, lengths = torch.unique_consecutive(pack.owners_N, return_counts=True)
        answers = torch.split(logp_N.cpu(), lengths.tolist())
        for owner, logp in zip(owners.tolist(), answers, strict=True):
            self.logp_of[owner] = logp.sum().item()
            sampled = batch[owner].behaviour_logprobs
            if sampled is not None:
                self._add_gap(logp - torch.tensor(sampled))

    def _add_gap(self, difference_N: torch.Tensor) -> None:
        """Far tokens count as one nat, so that a few of them cannot make the mean; NaN counts as
        far."""
        gap_N = difference_N.abs().nan_to_num(nan=float("inf"))
        self.gap += gap_N.clamp(max=1.0).sum().item()
        self.gap_max = max(self.gap_max, gap_N.max().item())
        self.gap_tokens += len(gap_N)

    def write(self, stats: UpdateStats) -> None:
        stats.loss = self.loss
        stats.entropy = self.entropy / max(1, self.tokens)
        stats.tokens_trained = self.tokens
        stats.gap_tokens = self.gap_tokens
        if self.gap_tokens:
            stats.logprob_gap = self.gap / self.gap_tokens
            stats.logprob_gap_max = self.gap_max


def _share_with_gradient(batch: Sequence[TrainSequence]) -> float:
    tokens = sum(len(s.response_ids) for s in batch)
    return sum(len(s.response_ids) for s in batch if s.advantage and s.weight) / max(1, tokens)
