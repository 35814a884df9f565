"""The protocol behind which every generation engine stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from azr_fast.config.schema import RolloutConfig
from azr_fast.errors import UserError
from azr_fast.policy.library import told
from azr_fast.policy.models import ModelFiles
from azr_fast.types import Sampling, Stop

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Request:
    """One generation to make. The same queue of requests over equal weights gives the same tokens
    on the transformers engine; on vLLM rounding follows what happens to be decoded together."""

    id: tuple[int, ...]
    prompt_ids: tuple[int, ...]
    seed: int
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished generation."""

    id: tuple[int, ...]
    token_ids: tuple[int, ...]  # sampled tokens; the end token is included when it was sampled
    # They are of token_ids, under the distribution that was sampled from: after temperature and
    # nucleus. At temperature 0 both count as 1.
    logprobs: tuple[float, ...]
    stop: Stop


class EngineDied(RuntimeError):  # noqa: N818 - what happened
    """The engine failed mid-step; nothing it holds can be trusted until it is restarted."""

    def __init__(self, engine: str, cause: BaseException) -> None:
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        super().__init__(f"the {engine} engine died ({reason})")


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


def check_room(request: Request, most: int) -> None:
    """Assert that a prompt and its answer fit the model's context of `most` tokens."""
    tokens = len(request.prompt_ids) + request.sampling.max_tokens
    assert tokens <= most, f"request {request.id} may take {tokens} tokens, more than {most}"


class Engine(Protocol):
    """A queue of generations over one set of weights. Not thread safe: one thread drives it."""

    name: str

    def submit(self, request: Request) -> None:
        """Queue a generation."""

    def poll(self) -> list[Completion]:
        """Decode a little (one engine step, or one static batch) and return what finished.

        Returns [] at once when nothing is queued. Raises NotFinite, or EngineDied."""

    def in_batch(self) -> bool:
        """Whether `poll` goes on with what was begun. Where it would begin a batch that nothing can
        join later, it is worth waiting for requests that are about to come."""

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

    def restart(self, files: ModelFiles) -> None:
        """Start anew after it died, with the weights of these files and nothing queued.

        Raises UserError when that cannot be done."""

    def close(self) -> None:
        """Free the engine. Idempotent."""
