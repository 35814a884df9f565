"""The proof, made on the very model, that a pack computes what each answer alone would.

Packing is right for models whose layers mix tokens by full causal attention alone, and silently
wrong for others: linear attention, state spaces and convolutions carry a neighbour's tokens along
the row, and positions may be counted along the row too. No list of names tells such models apart,
so a few short forward passes over random tokens do, before anything is trained:

- answers in a pack, and with other tokens in all of them but one: that one must not change;
- that answer alone, without a pack, by the model's own attention: the reference;
- the same alone as a pack of one, which must equal both the reference and its part of the pack;
- the same with other tokens at its end: the past must not change.

Passes of equal shapes round alike, so that what tokens leak into shows as any difference at all,
in bf16 as in fp32. (Only experts are computed in shapes that depend on tokens: there the difference
must be rounding.) Passes of different shapes are compared on average over tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from azr_fast.errors import UserError
from azr_fast.policy.attention import TILES, Attention, attend
from azr_fast.policy.library import quiet, reason, told
from azr_fast.policy.packing import Segment, TrainSequence, make_packs
from azr_fast.policy.taps import Gap, Passage, Taps, gap_of

REMEDY = (
    "choose a model whose layers mix tokens by full causal attention alone, "
    "as those of Llama, Qwen2 and Qwen3 do"
)
BROKEN = "get the model again, or try --model.dtype float32"
SHARED, OWN, ANSWER = 11, 5, 7  # tokens of a sequence: of all prompts, of its own, of its answer
FUTURE = 4  # tokens at the end of a sequence that are exchanged
LOUD = 2.0**10  # a power of two, so that products stay as they are
# The largest gaps, relative to the size of a module's output. ROUNDING is of two passes of the same
# shapes: one last bit in every number. OTHER_WAY is of the same in other shapes or by other code.
ROUNDING = {torch.float32: 1e-4, torch.bfloat16: 2.0**-7}
OTHER_WAY = {torch.float32: 1e-3, torch.bfloat16: 0.2}
WHOLE = "segments of whole sequences"  # an attention implementation that is asked for masks


def prove(model: PreTrainedModel, name: str, attention: Attention = TILES) -> None:
    """Raise UserError unless packs of `model`, with this attention, compute what each sequence
    alone would.

    Sets its attention to `segments`. If it is in training mode, as recomputation demands, that mode
    must compute what evaluation does. The error is one line that names the first module that fails.
    Costs forward passes of 300 tokens in all.
    """
    with quiet(), _evaluating(model) as training, torch.no_grad():
        model.set_attn_implementation("segments")
        proof = _Proof(model, name, attention)
        packed = proof.neighbours_stay_apart()
        proof.alone_is_reference()
        proof.alone_is_packed(packed)
        proof.past_stays()
        if training:
            proof.training_is_evaluation(packed)


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[bool]:
    """Evaluation mode inside the block; gives whether the model was in training mode."""
    training = model.training
    model.eval()
    try:
        yield training
    finally:
        model.train(training)


@dataclass(frozen=True, slots=True)
class _Row:
    """What a forward pass computes, and those of its tokens that are compared."""

    tokens_T: torch.Tensor
    positions_T: torch.Tensor
    segments: tuple[Segment, ...]
    compared: list[int]

    @property
    def tokens(self) -> int:
        """How many tokens the pass computes."""
        return self.tokens_T.numel()

    def mixed_with(self, others_T: torch.Tensor) -> _Row:
        """The same row with the first of `others_T` in place of what is not compared."""
        mixed_T = others_T[: self.tokens].clone()
        mixed_T[self.compared] = self.tokens_T[self.compared]
        return replace(self, tokens_T=mixed_T)


class _Proof:
    """The passes over one model. Each method raises UserError where two passes differ."""

    def __init__(self, model: PreTrainedModel, name: str, attention: Attention) -> None:
        self._model, self._name, self._prepare = model, name, attention.prepare
        self._backbone: Any = model.base_model
        self._taps = Taps(model, self._backbone)
        if self._backbone is model:
            raise self._refusal("it is not a backbone with a head")
        with told(f"{name} cannot be trained: it has no embeddings or no head", REMEDY):
            self._head: torch.Tensor = model.get_output_embeddings().weight
            vocabulary = min(len(self._head), len(model.get_input_embeddings().weight))
        ids_T = torch.randint(vocabulary, (256,), generator=torch.Generator().manual_seed(0))
        self._packed, self._alone = _rows(ids_T.to(self._head.device))
        self._others_T = ids_T.flip(0).to(self._head.device)

    def neighbours_stay_apart(self) -> Passage:
        """One answer is unmoved by other tokens in its neighbours. Returns the pack's tensors."""
        packed = self._record(self._packed)
        gaps = self._compare(self._packed.mixed_with(self._others_T), packed)
        self._judge(gaps, "largest", ROUNDING, "mixes an answer with its neighbours in a pack")
        return packed

    def alone_is_reference(self) -> None:
        """A pack of one is what the model computes by itself, up to the logits."""
        row = self._alone
        with self._attention("eager"), self._loud_head(), self._taps.record(row.tokens) as own:
            logits_TV = self._call(self._model, input_ids=row.tokens_T[None]).logits[0]
        with self._taps.compare(row.tokens, row.compared, own, row.compared) as gaps:
            hidden_TH = self._run(row)
        self._judge(gaps, "mean", OTHER_WAY, "computes otherwise than by the model's own attention")
        product_TV = torch.nn.functional.linear(hidden_TH * LOUD, self._head)
        gaps = [gap_of("the head", product_TV, logits_TV)]
        self._judge(gaps, "mean", ROUNDING, "is more than a product (a bias, a scale, a soft cap)")

    def alone_is_packed(self, packed: Passage) -> None:
        """A pack of one computes what the same answer has among others."""
        gaps = self._compare(self._alone, packed, self._packed.compared)
        self._judge(gaps, "mean", OTHER_WAY, "computes an answer otherwise in a pack than alone")

    def past_stays(self) -> None:
        """Tokens are unmoved by other tokens after them."""
        past = replace(self._alone, compared=self._alone.compared[:-FUTURE])
        alone = self._record(past)
        with self._attention(WHOLE):
            gaps = self._compare(past.mixed_with(self._others_T), alone)
        self._judge(gaps, "largest", ROUNDING, "lets a token see those after it")

    def training_is_evaluation(self, packed: Passage) -> None:
        """Training mode adds neither dropout nor noise."""
        self._model.train()
        gaps = self._compare(self._packed, packed)
        self._judge(
            gaps, "largest", ROUNDING, "computes otherwise in training mode (dropout or noise)"
        )

    def _judge(
        self,
        gaps: list[Gap],
        figure: Literal["largest", "mean"],
        limits: dict[torch.dtype, float],
        what: str,
    ) -> None:
        """Refuse by the first gap over its limit."""
        for gap in gaps:
            value = getattr(gap, figure)
            if value != value:
                raise self._refusal(f"{gap.module} gives numbers that are not finite", BROKEN)
            if value > limits[self._head.dtype]:
                raise self._refusal(f"{gap.module} {what}")

    def _refusal(self, what: str, remedy: str = "") -> UserError:
        """What is wrong, with what to do where nothing else helps: recomputation, or the model."""
        usual = "set --update.recompute false" if self._model.training else REMEDY
        return UserError(f"{self._name} cannot be trained: {what}: {remedy or usual}")

    def _record(self, row: _Row) -> Passage:
        with self._taps.record(row.tokens) as passage:
            self._run(row)
        return passage

    def _compare(self, row: _Row, passage: Passage, recorded: list[int] | None = None) -> list[Gap]:
        """Gaps of a pass over `row`, whose compared tokens are `recorded` in `passage`."""
        recorded = row.compared if recorded is None else recorded
        with self._taps.compare(row.tokens, row.compared, passage, recorded) as gaps:
            self._run(row)
        return gaps

    def _run(self, row: _Row) -> torch.Tensor:
        """Hidden states [T, H] of a pack."""
        output = self._call(
            self._backbone,
            input_ids=row.tokens_T[None],
            position_ids=row.positions_T[None],
            segments=self._prepare(row.segments),
        )
        if not hasattr(output, "last_hidden_state"):
            raise self._refusal("its backbone gives no hidden states")
        hidden_TH: torch.Tensor = output.last_hidden_state[0]
        return hidden_TH

    def _call(self, module: Any, **inputs: object) -> Any:
        """A forward pass; what it raises names the module at work."""
        try:
            return module(**inputs, use_cache=False)
        except UserError as error:
            raise self._refusal(f"{self._taps.running} {error}") from error
        except Exception as error:  # whatever the code of any model meets with inputs it knows not
            failed = f"{self._taps.running} fails in a pack ({reason(error)})"
            raise self._refusal(failed) from error

    @contextmanager
    def _loud_head(self) -> Iterator[None]:
        """Large inputs of the head inside the block: what bends logits shows only on large ones."""
        head = self._model.get_output_embeddings()
        handle = head.register_forward_pre_hook(lambda _, inputs: (inputs[0] * LOUD, *inputs[1:]))
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def _attention(self, implementation: str) -> Iterator[None]:
        """Another attention implementation inside the block, where the model can change it."""
        self._model.set_attn_implementation(implementation)
        try:
            yield
        finally:
            self._model.set_attn_implementation("segments")


def _rows(ids_T: torch.Tensor) -> tuple[_Row, _Row]:
    """A pack of answers of which the middle one is compared, and that answer alone."""
    (pack,) = make_packs(_answers(ids_T.tolist()), 2**30)
    ends = {int(predictor) + 1 for predictor in pack.predictors_N}
    leaves = [s for s in pack.segments if s.end in ends and s.end - s.begin == ANSWER]
    middle = leaves[len(leaves) // 2]
    path = [token for ends in (*middle.prefix, middle[:2]) for token in range(*ends)]
    tokens_T = pack.tokens_T.to(ids_T.device)
    positions_T = pack.positions_T.to(ids_T.device)
    whole = (Segment(0, len(path), ()),)
    alone = _Row(tokens_T[path], positions_T[path], whole, list(range(len(path))))
    return _Row(tokens_T, positions_T, pack.segments, path), alone


def _answers(ids: list[int]) -> list[TrainSequence]:
    """Two answers to each of three prompts that begin alike."""
    stream = iter(ids)
    shared, *prompts = (tuple(islice(stream, count)) for count in (SHARED, OWN, OWN, OWN))
    return [
        TrainSequence(shared + prompt, tuple(islice(stream, ANSWER + 1)), 0.0, 0.0, None)
        for prompt in prompts
        for _ in range(2)
    ]


def _mask_unless_causal(
    config: Any, mask_function: Callable[..., torch.Tensor], **_: object
) -> torch.Tensor | None:
    """A mask for the layers of a sliding window or of chunks, which `attend` then refuses.

    transformers asks for masks where a layer may need one; `mask_function` tells of batch, head,
    query and key whether they see each other. None where that is causal over the whole context.
    """
    last = torch.tensor((getattr(config, "max_position_embeddings", None) or 2**20) - 1)
    first = torch.zeros_like(last)
    sees_all = mask_function(first, first, last, first)
    sees_future = mask_function(first, first, first, last)
    return None if sees_all and not sees_future else torch.zeros(1, 1, 1, 1)


AttentionInterface.register(WHOLE, attend)
AttentionMaskInterface.register(WHOLE, _mask_unless_causal)
