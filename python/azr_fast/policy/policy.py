"""The language model that learns: log-probabilities, updates, weights, saving."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.errors import NotFinite, UserError
from azr_fast.ops.linear_policy_loss import linear_policy_loss
from azr_fast.policy.activations import keep_less
from azr_fast.policy.adapter_files import adapter_format, adapter_tensors
from azr_fast.policy.checkpoint import ADAPTER_FOLDER
from azr_fast.policy.device import resolve_device
from azr_fast.policy.loading import load_on_device, use_recompute
from azr_fast.policy.lora import FrozenBase, merged_weights
from azr_fast.policy.memory import give_back
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.network import Network
from azr_fast.policy.objective import objective
from azr_fast.policy.optimizer import MasterAdamW
from azr_fast.policy.packing import Pack, TrainSequence, make_packs
from azr_fast.policy.preview import previewed
from azr_fast.policy.proof import prove
from azr_fast.policy.snapshot import OPTIMIZER_FILE, Snapshot, files_beside_weights
from azr_fast.policy.stats import Clock, Sums, UpdateStats, share_with_gradient

# A step is previewed on the first answers of the batch only, which often share a prompt, so that
# it costs little beside the update.
PREVIEWED_ANSWERS = 8
# Nats a token. A model that is ruined guesses: with a vocabulary of 49,152 that costs a sure token
# 10 nats. A step of policy gradient that costs 2 is none that anybody wants.
LARGEST_FALL = 2.0
# Norm of a step over that of the weights. AdamW moves a weight by about lr, and weights are some
# hundredths large, so that learning rates of use give a thousandth and less.
LARGEST_MOVE = 0.5


class Policy:
    """A causal language model in `model.dtype`, trained with fp32 master weights.

    `temperature` is the sampling temperature: updates use the distribution that was sampled from.
    `reference` is the model that `update.kl` pulls towards; it is there if that is not 0. With a
    `base` nothing but a new adapter over it learns.
    """

    def __init__(
        self,
        files: ModelFiles,
        model: ModelConfig,
        update: UpdateConfig,
        temperature: float,
        reference: Network | None = None,
        base: FrozenBase | None = None,
    ) -> None:
        # Checkpoints need these at any time; the folder may be gone or pruned by then.
        self._beside_weights = files_beside_weights(files.folder)
        self._base = base
        self._update = update
        self._temperature = temperature
        self.device = resolve_device(model.device)
        self._model = base.adapted() if base else load_on_device(files, model)
        if update.recompute:
            use_recompute(self._model)
        else:
            keep_less(self._model, update.recompute_blocks)
        self._network = Network(self._model, update)
        prove(self._model, files.name, self._network.attention)
        self._head = self._network.head
        assert (reference is not None) == bool(update.kl)
        self._reference = reference
        learning = [(n, p) for n, p in self._model.named_parameters() if p.requires_grad]
        self._optimizer = MasterAdamW(learning, update)

    @property
    def attention(self) -> str:
        """How packs attend, for people."""
        return self._network.attention.about

    @property
    def steps(self) -> int:
        """How often the weights have moved."""
        return self._optimizer.steps

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
        advantages or weights that are not finite, NotFinite for such log-probs of the model.
        """
        stats = UpdateStats(learning_rate=self._optimizer.learning_rate())
        stats.kl = 0.0 if self._reference else None
        clock = Clock(stats.seconds)
        steering = [s for s in batch if self._steers(s)]
        packs = make_packs(steering, self._update.pack_tokens)
        stats.packs = len(packs)
        stats.tokens_unshared = sum(len(s.prompt_ids) + s.computed for s in steering)
        stats.share_with_gradient = share_with_gradient(batch)
        total = sum(pack.tokens_T.numel() for pack in packs)
        clock.lap("pack")
        sums = Sums([0.0] * len(steering))
        try:
            for pack in packs:
                self._accumulate(pack, steering, sums, clock)
                stats.tokens_computed += pack.tokens_T.numel()
                if on_progress is not None:
                    on_progress(stats.tokens_computed, total)
            sums.write(stats)
            if not all(map(math.isfinite, sums.logp_of)):
                raise NotFinite
            accept(stats)
            if packs:
                self._move(steering, sums, stats)
        finally:
            self._optimizer.begin()
            give_back()
        clock.lap("optimizer")
        return stats

    def _steers(self, sequence: TrainSequence) -> bool:
        """Whether an answer can move the weights."""
        steered = sequence.advantage or self._update.entropy or self._update.kl
        return bool(sequence.trained and sequence.weight and steered)

    def _move(self, batch: Sequence[TrainSequence], sums: Sums, stats: UpdateStats) -> None:
        """Apply the gradient that was summed up, unless that would ruin the model."""
        norm = self._optimizer.norm()
        stats.grad_norm = norm.item()
        if not math.isfinite(stats.grad_norm):
            stats.skipped = f"the gradient is not finite (norm {stats.grad_norm})"
        else:
            self._move_if_sound(batch, sums, stats, norm)

    def _move_if_sound(
        self,
        batch: Sequence[TrainSequence],
        sums: Sums,
        stats: UpdateStats,
        norm: torch.Tensor,
    ) -> None:
        """Look at the step and at what it does to a few answers; then make it or not."""
        with previewed(self._network.backbone, self._head, self._optimizer, norm) as preview:
            fall = self._fall(batch[:PREVIEWED_ANSWERS], sums)
        moved = preview.moved()
        if moved <= LARGEST_MOVE and fall <= LARGEST_FALL:  # false for a NaN
            self._optimizer.step(norm)
            stats.moved = True
            return
        stats.skipped = (
            f"the step would ruin the model: it is {moved:.2g} times as large as the weights, and "
            f"what was just sampled would become {fall:.2g} nats a token less likely"
        )

    def _fall(self, answers: Sequence[TrainSequence], sums: Sums) -> float:
        """By how many nats a token these answers are less likely now than in the gradient's
        forward pass."""
        before = sum(sums.logp_of[: len(answers)])
        after = sum(sum(logprobs) for logprobs in self.answer_logprobs(answers))
        return (before - after) / sum(answer.trained for answer in answers)

    def _accumulate(
        self, pack: Pack, batch: Sequence[TrainSequence], sums: Sums, clock: Clock
    ) -> None:
        """Forward, head and backward of one pack; adds its gradient to the optimizer's."""
        hidden_TH = self._network.hidden(pack)
        clock.lap("forward")
        predictors_N = pack.predictors_N.to(self.device)
        result = linear_policy_loss(
            hidden_TH.detach()[predictors_N],
            self._head,
            pack.targets_N.to(self.device),
            objective(pack, batch, self._update, self.device),
            self._optimizer.gradient(self._head) if self._optimizer.moves(self._head) else None,
            temperature=self._temperature,
            implementation=self._update.loss,
        )
        d_hidden_TH = torch.zeros_like(hidden_TH).index_add_(0, predictors_N, result.d_hidden_NH)
        clock.lap("head")
        hidden_TH.backward(d_hidden_TH)  # type: ignore[no-untyped-call]
        clock.lap("backward")
        sums.add(pack, batch, result)

    def logprobs(self, sequences: Sequence[tuple[int, ...]]) -> list[list[float]]:
        """Log p(token t | tokens before t) for t = 1.. of each sequence, at temperature 1."""
        batch = [TrainSequence(ids[:1], ids[1:], 0.0, 0.0, None) for ids in sequences]
        return self._network.answer_logprobs(batch, temperature=1.0)

    def answer_logprobs(self, batch: Sequence[TrainSequence]) -> list[list[float]]:
        """Log-probs of every answer's tokens under the distribution that answers are sampled
        from."""
        return self._network.answer_logprobs(batch, self._temperature)

    def check_finite(self) -> None:
        """Raise NotFinite when the model gives numbers that are not finite."""
        (logprobs,) = self.logprobs([tuple(range(min(32, len(self._head))))])
        if not all(map(math.isfinite, logprobs)):
            raise NotFinite

    def with_reference(self, batch: Sequence[TrainSequence]) -> Sequence[TrainSequence]:
        """The batch with the reference's log-probs, where there is a reference and they steer."""
        if self._reference is None:
            return batch
        steering = [i for i, sequence in enumerate(batch) if self._steers(sequence)]
        scores = self._reference.answer_logprobs([batch[i] for i in steering], self._temperature)
        known = dict(zip(steering, map(tuple, scores), strict=True))
        return [replace(one, reference_logprobs=known.get(i)) for i, one in enumerate(batch)]

    def named_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """All weights by their Hugging Face names, `lm_head.weight` too when it is tied."""
        names = set()
        for name, weight in merged_weights(self._model):
            names.add(name)
            yield name, weight
        if "lm_head.weight" not in names:
            yield "lm_head.weight", self._head.detach()

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder `model` with tokenizer, or a folder `adapter`, and beside it
        what `load` needs."""
        self.snapshot().write(folder)

    def snapshot(self) -> Snapshot:
        """The present state; its tensors change with the policy until they are copied."""
        state = self._optimizer.state() | {"torch_rng": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda_rng"] = torch.cuda.get_rng_state(self.device)
        if self._base is None:
            return Snapshot(self._model, self._model.state_dict(), state, self._beside_weights)
        form = adapter_format(self._model, self._base.name, self._base.config)
        state["base"] = self._base.fingerprint()
        return Snapshot(form, adapter_tensors(self._model), state, {}, ADAPTER_FOLDER)

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote: weights, optimizer and torch's random state.

        Raises UserError when the folder's optimizer state cannot be read, or when its adapter
        belongs to another base.
        """
        try:
            state = safetensors.torch.load_file(folder / OPTIMIZER_FILE)
        except (OSError, safetensors.SafetensorError) as error:
            raise UserError(
                f"cannot read {folder / OPTIMIZER_FILE} ({error}): resume from an older checkpoint"
            ) from error
        if self._base and not torch.equal(state["base"], self._base.fingerprint()):
            raise UserError(
                f"the adapter of {folder} learnt over other weights than those of "
                f"{self._base.name} now: put back the model that the run began with"
            )
        torch.set_rng_state(state["torch_rng"])
        if "cuda_rng" in state and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        self._optimizer.restore(state)
