"""Is what was sampled what is trained? Two proofs, one of the weights and one of their use.

The weights: after every load the engine's are compared with the trainer's by checksums, tensor by
tensor and to the last bit, whatever their order. At the start a load is tried with other weights,
so that an engine that does not take every tensor is refused before anything is trained.

Their use: the log-probs with which the engine sampled a step's tokens are compared with those that
the trainer computes for the same tokens anyway, before any weight moves. Rounding parts them by
1e-5 nats a token in fp32. In bf16 it is 0.01 for a model that is sure of itself and 0.045 where the
entropy is 2 nats (SmolLM2-135M and Qwen2.5-Coder-0.5B, whole runs), and it does not grow as weights
move, since what is sampled is likely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import log
from typing import Protocol

import torch

from azr_fast.config.schema import Config
from azr_fast.errors import NotFinite, UserError
from azr_fast.policy.packing import TrainSequence
from azr_fast.policy.stats import FAR
from azr_fast.rollout.checksum import checksums
from azr_fast.rollout.engine import Completion, Engine, EngineDied, Request
from azr_fast.rollout.renderer import Renderer
from azr_fast.types import Message, Sampling

Weights = Iterable[tuple[str, torch.Tensor]]

DEFAULT_LIMITS = {"bfloat16": 0.15, "float32": 0.001}  # nats a token, in the mean
# The error of a mean over fewer tokens is near the limit itself.
FEWEST_TOKENS = 32
# What the engine is asked at the start: twelve short answers, since every start waits for them.
FIRST_QUESTIONS = (
    "Write a Python function f(items, k) that counts the items and returns the k most frequent.",
    "What does sorted([3, 1, 2])[::-1] give, and why?",
    "Tell me in a few words what a naïve café owner would call 漢字.",
)
ANSWERS_EACH, ANSWER_TOKENS = 4, 16


class ParityError(RuntimeError):
    """Engine and trainer disagree: what is sampled is not what is trained."""


class Trainer(Protocol):
    """The trainer's side: `Policy`."""

    def named_weights(self) -> Weights:
        """All weights by their Hugging Face names."""

    def answer_logprobs(self, batch: Sequence[TrainSequence]) -> list[list[float]]:
        """Log-probs of every answer's tokens under the distribution that is sampled from."""


def send_weights(engine: Engine, weights: Callable[[], Weights]) -> None:
    """Load the weights into the engine. Raises ParityError unless it holds each of them then."""
    engine.update_weights(weights())
    stale = engine.differing(checksums(weights()))
    if stale:
        raise ParityError(
            f"the {engine.name} engine holds other weights than it was sent: {_some(stale)}"
        )


def prove_engine(engine: Engine, trainer: Trainer, renderer: Renderer, config: Config) -> None:
    """Show that the engine takes every weight of this model and samples as the trainer does.

    The engine holds the trainer's weights afterwards. Raises UserError for an engine that cannot
    serve the model.
    """
    remedy = "try --rollout.engine transformers, or another model"
    try:
        _prove_loads(engine, trainer, config, remedy)
        check_gap(*mean_gap(trainer, first_answers(engine, renderer, config)), config)
    except (ParityError, NotFinite, EngineDied) as error:
        raise UserError(
            f"{config.model.name} cannot be trained here ({error}): {remedy}"
        ) from error


def _prove_loads(engine: Engine, trainer: Trainer, config: Config, remedy: str) -> None:
    """Send other weights, which must all arrive, and then the trainer's own."""
    try:
        send_weights(engine, lambda: ((name, -weight) for name, weight in trainer.named_weights()))
        send_weights(engine, trainer.named_weights)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"the {engine.name} engine has no place for a weight of {config.model.name} "
            f"({error}): {remedy}"
        ) from error


def check_gap(mean: float | None, tokens: int, config: Config) -> None:
    """Raise ParityError when engine and trainer are `mean` nats a token apart and should not be.

    `mean` is over `tokens` tokens that the engine sampled; far tokens count as FAR nats apart, so
    that a few whose rounding is odd decide nothing.
    """
    limit = gap_limit(config)
    if mean is None or tokens < FEWEST_TOKENS or mean <= limit:
        return
    raise ParityError(
        f"engine and trainer are {mean:.3g} nats apart on {tokens} sampled tokens, in the mean "
        f"(parity.max_gap allows {limit:.3g})"
    )


def gap_limit(config: Config) -> float:
    """Nats a token that engine and trainer may be apart, in the mean.

    With top_p below 1 the engine's log-probs are of the nucleus and the trainer's of the whole
    vocabulary, which is at most -log(top_p) more.
    """
    limit = config.parity.max_gap or DEFAULT_LIMITS[config.model.dtype]
    return limit - log(config.rollout.top_p)


def first_answers(
    engine: Engine, renderer: Renderer, config: Config, seed: int = 0
) -> list[TrainSequence]:
    """The engine's answers to a few fixed questions, with their log-probs."""
    prompts = [renderer.begin([Message("user", question)]).ids for question in FIRST_QUESTIONS]
    fitting = [ids for ids in prompts if len(ids) <= config.rollout.max_prompt_tokens]
    sampling = Sampling(
        min(ANSWER_TOKENS, config.rollout.max_new_tokens),
        config.rollout.temperature,
        config.rollout.top_p,
    )
    requests = [
        Request((index,), ids, seed * 1000 + index, sampling)
        for index, ids in enumerate(fitting * ANSWERS_EACH)
    ]
    return [
        TrainSequence(requests[done.id[0]].prompt_ids, done.token_ids, 0.0, 0.0, done.logprobs)
        for done in _generate(engine, requests)
    ]


def mean_gap(trainer: Trainer, answers: Sequence[TrainSequence]) -> tuple[float, int]:
    """|log p by the trainer - log p when sampled| in the mean, as `check_gap` wants it, and over
    how many tokens it is."""
    gaps = [
        min(abs(here - sampled), FAR) if here == here else FAR
        for answer, logprobs in zip(answers, trainer.answer_logprobs(answers), strict=True)
        for here, sampled in zip(logprobs, answer.behaviour_logprobs or (), strict=True)
    ]
    return sum(gaps) / max(1, len(gaps)), len(gaps)


def _generate(engine: Engine, requests: Sequence[Request]) -> list[Completion]:
    for request in requests:
        engine.submit(request)
    done: list[Completion] = []
    while len(done) < len(requests):
        done += engine.poll()
    return done


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest
