"""A tiny random Llama on every engine, and in `make test-all` the real SmolLM2 on vLLM too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from azr_fast.config.schema import ModelConfig, RolloutConfig
from azr_fast.policy.models import ModelFiles, resolve_model
from azr_fast.rollout.engine import Completion, Engine, Request
from azr_fast.rollout.load import load_renderer
from azr_fast.rollout.renderer import Renderer
from azr_fast.rollout.stops import Stops
from azr_fast.types import Message, Sampling

sys.path.insert(0, str(Path(__file__).parent))  # for chat_families

REAL = pytest.mark.slow  # without AVX-512 the real model takes minutes
ROLLOUT = RolloutConfig(max_prompt_tokens=384, max_new_tokens=128, concurrency=16, cache_gib=0.5)


@dataclass(frozen=True)
class Rig:
    """An engine, prompts it can continue and its untouched weights."""

    engine: Engine
    prompts: list[tuple[int, ...]]
    weights: dict[str, torch.Tensor]  # lm_head.weight included
    stops: Stops
    vocabulary: int
    tolerance: float  # of log-probs against another way to compute them
    reference: Any  # a plain model of the same weights

    def expected(self, prompt: tuple[int, ...], answer: tuple[int, ...]) -> list[float]:
        """Log-probs of an answer's tokens by the plain model, at temperature 1."""
        ids_T = torch.tensor(prompt + answer)
        with torch.inference_mode():
            logits_TV = self.reference(ids_T[None, :-1].to(self.reference.device)).logits[0]
        logp_TV = torch.log_softmax(logits_TV[len(prompt) - 1 :].float().cpu(), -1)
        scores: list[float] = logp_TV.gather(1, ids_T[len(prompt) :, None])[:, 0].tolist()
        return scores

    def distributions(
        self, prompt: tuple[int, ...], answer: tuple[int, ...], sampling: Sampling
    ) -> torch.Tensor:
        """Log-probs [tokens, V] that each token of an answer was sampled from, by the plain model."""
        ids = torch.tensor([prompt + answer[:-1]]).to(self.reference.device)
        with torch.inference_mode():
            logits_TV = self.reference(ids).logits[0, len(prompt) - 1 :].float().cpu()
        logp_TV = torch.log_softmax(logits_TV / (sampling.temperature or 1.0), -1)
        sorted_TV, order_TV = logp_TV.sort(-1, descending=True)
        before_TV = sorted_TV.exp().cumsum(-1) - sorted_TV.exp()
        cut_TV = sorted_TV.masked_fill(before_TV >= sampling.top_p, -torch.inf).log_softmax(-1)
        return torch.empty_like(logp_TV).scatter(1, order_TV, cut_TV)

    def generate(self, requests: list[Request]) -> dict[tuple[int, ...], Completion]:
        for request in requests:
            self.engine.submit(request)
        return drain(self.engine, len(requests))

    def forget(self) -> None:
        """Drop cached prefixes: with AMX a product is rounded by how many rows it has, so that a
        prompt of which a part is cached has other log-probabilities."""
        self.engine.update_weights(self.weights.items())

    def requests(self, max_tokens: int, seed: int = 0, **sampling: Any) -> list[Request]:
        return [
            Request((index,), ids, seed + index, Sampling(max_tokens, **sampling))
            for index, ids in enumerate(self.prompts)
        ]


def drain(engine: Engine, count: int) -> dict[tuple[int, ...], Completion]:
    """Poll until `count` requests are finished."""
    done: dict[tuple[int, ...], Completion] = {}
    while len(done) < count:
        for completion in engine.poll():
            assert completion.id not in done
            done[completion.id] = completion
    return done


@pytest.fixture(scope="session")
def smollm() -> ModelFiles:
    return resolve_model("smollm2-135m")


@pytest.fixture(scope="session")
def renderer(smollm: ModelFiles) -> Renderer:
    return load_renderer(smollm)


@pytest.fixture(scope="session")
def plain_smollm(smollm: ModelFiles) -> Any:
    dtype = getattr(torch, ModelConfig().dtype)
    return AutoModelForCausalLM.from_pretrained(smollm.folder, dtype=dtype)


@pytest.fixture(scope="session")
def chat_prompts(renderer: Renderer) -> list[tuple[int, ...]]:
    questions = ["Say hello.", "What is 2 + 2? Answer with a number.", "Write a Python function."]
    return [renderer.begin([Message("user", question)]).ids for question in questions]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """A random two-layer Llama of 97 tokens, its embeddings tied; vLLM needs heads of 32."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97, hidden_size=64, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=512,
        initializer_range=0.2, tie_word_embeddings=True, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny")
    LlamaForCausalLM(config).save_pretrained(folder)
    return ModelFiles(folder, "tiny")


def open_vllm(files: ModelFiles, stops: Stops, dtype: str) -> Engine:
    pytest.importorskip("vllm", reason="the vLLM engine is not installed")
    from azr_fast.rollout.vllm_engine import VllmEngine

    model = ModelConfig.model_validate({"dtype": dtype})
    return VllmEngine(ROLLOUT, files, stops, model, seed=0)


def open_transformers(files: ModelFiles, stops: Stops, dtype: str, device: str = "cpu") -> Engine:
    from azr_fast.rollout.transformers_engine import TransformersEngine

    model = ModelConfig.model_validate({"dtype": dtype, "device": device})
    return TransformersEngine(ROLLOUT, files, stops, model)


@pytest.fixture(scope="module")
def real_rig(
    smollm: ModelFiles,
    renderer: Renderer,
    plain_smollm: Any,
    chat_prompts: list[tuple[int, ...]],
) -> Iterator[Rig]:
    engine = open_vllm(smollm, renderer.stops, ModelConfig().dtype)
    weights = dict(plain_smollm.named_parameters(remove_duplicate=False))
    yield Rig(engine, chat_prompts, weights, renderer.stops, 49152, 0.25, plain_smollm)
    engine.close()


TINY_STOPS = Stops(frozenset(range(1, 97, 19)), lambda ids: "".join(chr(33 + i) for i in ids))
TINY_PROMPTS = [(5, 6, 7), tuple(range(20, 60)), (9,) * 12]


def open_tiny_rig(tiny: ModelFiles, engine: Engine, device: str = "cpu") -> Iterator[Rig]:
    model = AutoModelForCausalLM.from_pretrained(tiny.folder, dtype=torch.float32)
    weights = dict(model.named_parameters(remove_duplicate=False))
    yield Rig(engine, TINY_PROMPTS, weights, TINY_STOPS, 97, 1e-4, model.to(device))
    engine.close()


@pytest.fixture(scope="module")
def vllm_rig(tiny: ModelFiles) -> Iterator[Rig]:
    yield from open_tiny_rig(tiny, open_vllm(tiny, TINY_STOPS, "float32"))


@pytest.fixture(scope="module")
def tiny_rig(tiny: ModelFiles) -> Iterator[Rig]:
    yield from open_tiny_rig(tiny, open_transformers(tiny, TINY_STOPS, "float32"))


@pytest.fixture(scope="module")
def tiny_gpu_rig(tiny: ModelFiles) -> Iterator[Rig]:
    if not torch.cuda.is_available():
        pytest.skip("no GPU on this machine")
    yield from open_tiny_rig(tiny, open_transformers(tiny, TINY_STOPS, "float32", "cuda"), "cuda")


RIGS = {
    "vllm": "vllm_rig",
    "transformers": "tiny_rig",
    "transformers on a GPU": "tiny_gpu_rig",
    "vllm, a real model": "real_rig",
}


@pytest.fixture(params=[pytest.param(name, marks=REAL if "real" in name else ()) for name in RIGS])
def rig(request: pytest.FixtureRequest) -> Rig:
    rig: Rig = request.getfixturevalue(RIGS[request.param])
    return rig
