"""The protocol behind which every generation engine stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from azr_fast.config.schema import RolloutConfig
from azr_fast.errors import UserError
from azr_fast.policy.library import told
from azr_fast.policy.models import ModelFiles

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Request:
    """One generation to make. The same queue of requests over equal weights gives the same tokens
    on the transformers engine; on vLLM rounding follows what happens to be decoded together."""

    id: tuple[int, ...]
    prompt_ids: tuple[int, ...]
    seed: int
    max_new_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished generation."""

    id: tuple[int, ...]
    token_ids: tuple[int, ...]  # sampled tokens; the end token is included when it was sampled
    logprobs: tuple[
        float, ...
    ]  # of token_ids under the sampling distribution (temperature applied)
    truncated: bool


class EngineDied(RuntimeError):  # noqa: N818 - what happened
    """The engine failed mid-step; nothing it holds can be trusted. The run goes on by --resume."""

    def __init__(self, engine: str, cause: BaseException) -> None:
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        super().__init__(
            f"the {engine} engine died ({reason}): continue from the last checkpoint with --resume"
        )


def longest_generation(config: RolloutConfig, files: ModelFiles) -> int:
    """Most tokens of a prompt and its answer. UserError when they exceed the model's context."""
    from transformers import AutoConfig

    longest = config.max_prompt_tokens + config.max_new_tokens
    with told(f"cannot read the config of {files.folder}", "get the model again"):
        model = AutoConfig.from_pretrained(files.folder).get_text_config()
    # Not by getattr: some configs raise for a length that they do not have.
    context = model.to_dict().get("max_position_embeddings") or longest
    if longest > context:
        raise UserError(
            f"rollout.max_prompt_tokens + rollout.max_new_tokens is {longest} and the context of "
            f"{files.name} has {context} tokens: lower one of them"
        )
    return longest


class Engine(Protocol):
    """A queue of generations over one set of weights. Not thread safe: one thread drives it."""

    name: str

    def submit(self, request: Request) -> None:
        """Queue a generation."""

    def poll(self) -> list[Completion]:
        """Decode a little (one engine step, or one static batch) and return what finished.

        Returns [] at once when nothing is queued. Raises NotFinite, or EngineDied."""

    def cancel(self) -> None:
        """Forget every request that has not finished."""

    def generated_tokens(self) -> int:
        """Tokens sampled since the engine started, those of unfinished requests included."""

    def update_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Load named weights (Hugging Face names) in place; caches over old weights are dropped.

        Raises KeyError or ValueError for a name that the model does not have."""

    def differing(self, checksums: Mapping[str, int]) -> list[str]:
        """Names of the weights that the engine does not hold as these checksums say they are
        (`rollout.checksum`, by Hugging Face name); [] when it holds each of them."""

    def close(self) -> None:
        """Free the engine. Idempotent."""
