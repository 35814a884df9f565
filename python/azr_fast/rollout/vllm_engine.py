"""vLLM inside this process: continuous batching, prefix cache, weights replaced in place.

Written for and tested on the CPU build. On CUDA the same calls are made with a share of the GPU's
memory, captured graphs, and sleep while the policy updates; that path has not been run.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from azr_fast.config.schema import ModelConfig, RolloutConfig
from azr_fast.errors import NotFinite
from azr_fast.policy.library import told
from azr_fast.policy.models import ModelFiles
from azr_fast.rollout.engine import (
    Completion,
    EngineDied,
    Request,
    check_room,
    longest_generation,
)
from azr_fast.rollout.stops import Stops
from azr_fast.rollout.vllm_weights import HeldWeights

if TYPE_CHECKING:
    import torch

CPU_BLOCK_TOKENS = 32  # smallest the CPU attention is fast with: prefixes are shared block by block


@dataclass(slots=True)
class _Running:
    """A request being decoded."""

    request: Request
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class VllmEngine:
    """`Engine` over vllm.v1.LLMEngine.

    Log-probs are those of the distribution sampled from (temperature and nucleus applied).
    """

    name = "vllm"

    def __init__(
        self,
        config: RolloutConfig,
        files: ModelFiles,
        stops: Stops,
        model: ModelConfig,
        seed: int,
    ) -> None:
        self._stops = stops
        self._running: dict[str, _Running] = {}
        self._generated = 0
        self._arguments = partial(_engine_args, config, model=model, seed=seed)
        self._open(files)

    def _open(self, files: ModelFiles) -> None:
        arguments = self._arguments(files)
        self._sleeps: bool = arguments.get("enable_sleep_mode", False)
        self._engine = _start(arguments)
        self._max_tokens: int = self._engine.model_config.max_model_len
        watch = partial(HeldWeights, dtype=self._engine.model_config.dtype)
        self._held: HeldWeights = self._engine.apply_model(watch)[0]

    def restart(self, files: ModelFiles) -> None:
        """Start another vLLM in place of one that died."""
        self.close()
        self._running.clear()
        del self._held  # it holds the old weights
        gc.collect()
        self._open(files)

    def submit(self, request: Request) -> None:
        """Queue a generation. The prompt and its answer must fit the model."""
        check_room(request, self._max_tokens)
        name = ".".join(map(str, request.id))
        assert name not in self._running, f"request {name} is already queued"
        self._running[name] = _Running(request)
        self._add(name, request.prompt_ids, self._sampling(request))

    def poll(self) -> list[Completion]:
        """One engine step: every running request gains a token."""
        if not self._running:
            return []
        return [done for output in self._step() if (done := self._advance(output))]

    def in_batch(self) -> bool:
        """Always: a request can join at any token."""
        return True

    def cancel(self) -> None:
        """Forget every request that has not finished."""
        self._engine.abort_request(list(self._running))
        self._running.clear()

    def generated_tokens(self) -> int:
        """Tokens sampled since the engine started."""
        return self._generated

    def rest(self) -> bool:
        """On a GPU, give the memory of weights and cache back until the next `update_weights`.

        This is level 2 of vLLM's sleep, which throws the weights away. Level 1 would keep them in
        the machine's memory, for nothing: after an update all of them are sent anew.
        """
        assert not self._running, "rest() while requests are queued"
        if self._sleeps:
            self._engine.sleep(level=2)
        return self._sleeps

    def update_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Load named weights in place and forget every cached prefix.

        Tied models need `lm_head.weight` too: vLLM rebuilds its head apart from the embedding.
        """
        assert not self._running, "update_weights() while requests are queued"
        self._held.begin()
        slept = self._engine.is_sleeping()
        if slept:  # room for the cache comes last, when what carried the weights is free again
            self._engine.wake_up(["weights"])
        self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
        if slept:
            self._engine.wake_up(["kv_cache"])
        emptied = self._engine.reset_prefix_cache()  # not inside the assert, which -O leaves out
        assert emptied, "prefix cache in use while idle"

    def differing(self, checksums: Mapping[str, int]) -> list[str]:
        """Names of weights that are not as these checksums say; fused ones by vLLM's names."""
        return self._held.differing(checksums)

    def close(self) -> None:
        """Free the engine. Idempotent."""
        if self._engine is not None:
            self._engine.engine_core.shutdown()
            self._engine = None

    def _sampling(self, request: Request) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            seed=request.seed,
            max_tokens=request.sampling.max_tokens,
            stop_token_ids=sorted(self._stops.token_ids),
            ignore_eos=True,  # stop_ids holds every end token
            logprobs=0,  # of the sampled token alone
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )

    def _add(self, name: str, ids: Sequence[int], params: Any) -> None:
        self._engine.add_request(name, {"prompt_token_ids": list(ids)}, params)

    def _step(self) -> list[Any]:
        """One step. Whatever goes wrong inside leaves the engine in an unknown state."""
        try:
            outputs: list[Any] = self._engine.step()
        except Exception as error:
            raise EngineDied(self.name, error) from error
        return outputs

    def _advance(self, output: Any) -> Completion | None:
        """Take in the new tokens of one request; its completion when it has ended."""
        running = self._running[output.request_id]
        (new,) = output.outputs
        self._generated += len(new.token_ids)
        logprobs = [
            entry[token].logprob for token, entry in zip(new.token_ids, new.logprobs, strict=True)
        ]
        if not all(map(math.isfinite, logprobs)):
            raise NotFinite
        running.token_ids += new.token_ids
        running.logprobs += logprobs
        stop = self._stops.stop(running.token_ids, running.request.sampling)
        if stop is None:
            assert not output.finished, f"request ended by {new.finish_reason}"
            return None
        del self._running[output.request_id]
        if not output.finished:  # vLLM knows no stop strings here: it has no tokenizer
            self._engine.abort_request([output.request_id])
        return Completion(
            running.request.id, tuple(running.token_ids), tuple(running.logprobs), stop
        )


def _engine_args(
    config: RolloutConfig, files: ModelFiles, model: ModelConfig, seed: int
) -> dict[str, Any]:
    longest = longest_generation(config, files)
    return {
        "model": str(files.folder),
        "dtype": model.dtype,
        "seed": seed % 2**32,  # numpy takes no larger one; every request has a seed of its own
        "max_model_len": longest,
        "max_num_seqs": config.concurrency,
        "enable_prefix_caching": True,
        "logprobs_mode": "processed_logprobs",
        "skip_tokenizer_init": True,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    } | _device_args(config, longest)


def _device_args(config: RolloutConfig, longest: int) -> dict[str, Any]:
    _set_environment()
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return _gpu_args(config)
    return {
        "kv_cache_memory_bytes": int(config.cache_gib * 2**30),
        "block_size": CPU_BLOCK_TOKENS,
        "enforce_eager": True,  # compiling takes minutes and gains little on few cores
        # A prompt is computed in one step: after part of one, vLLM rewinds the request's random
        # generator by an offset, which generators of a CPU do not have.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(2048, longest),
    }


def _gpu_args(config: RolloutConfig) -> dict[str, Any]:
    return {
        "gpu_memory_utilization": config.gpu_memory_fraction,
        "enforce_eager": False,  # captured graphs: a token is many small kernels
        "enable_sleep_mode": config.sleep,
    }


def _set_environment() -> None:
    """vLLM reads these when imported."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # in this process: starts ten times faster
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")  # errors arrive as exceptions


def _start(arguments: dict[str, Any]) -> Any:
    """The engine, started without a word; torch's thread settings are the caller's afterwards."""
    import torch

    set_num_threads, threads = torch.set_num_threads, torch.get_num_threads()
    remedy = "try a smaller --rollout.cache_gib or --rollout.engine transformers"
    try:
        # A model that it cannot serve ends in an error of pydantic, KeyError, NotImplementedError,
        # AssertionError or whatever its code for that model meets.
        with told("vLLM cannot start", remedy), _quiet():
            from vllm import EngineArgs
            from vllm.v1.engine.llm_engine import LLMEngine

            return LLMEngine.from_engine_args(EngineArgs(**arguments))
    finally:
        torch.set_num_threads = set_num_threads  # vLLM replaces it by one that does nothing
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what is written to stderr, native code included; print it if a library ends the
    process. Any other failure is an exception that says in a line what was wrong."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(held.fileno(), 2)
        failed = False
        try:
            yield
        except SystemExit:
            failed = True
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if failed:
                held.seek(0)
                sys.stderr.write(held.read().decode(errors="replace"))
