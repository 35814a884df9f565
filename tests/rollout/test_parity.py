"""What is sampled is what is trained: faults of the sync and of the engine are caught, rounding is not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from azr_fast.config.load import load_config
from azr_fast.config.schema import Config, ModelConfig, UpdateConfig
from azr_fast.errors import UserError
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.policy import Policy
from azr_fast.rollout import open_engine
from azr_fast.rollout.engine import Engine
from azr_fast.rollout.load import load_renderer
from azr_fast.rollout.parity import (
    ParityError,
    check_gap,
    first_answers,
    gap_limit,
    mean_gap,
    prove_engine,
    send_weights,
)
from azr_fast.rollout.renderer import Renderer

from .conftest import REAL, open_transformers, open_vllm

pytestmark = pytest.mark.engine

EMBEDDING, HEAD, NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
UP = "model.layers.{}.mlp.up_proj.weight"


def config_with(**keys: object) -> Config:
    limits = {"rollout.max_prompt_tokens": 384, "rollout.max_new_tokens": 128}
    return load_config("cpu", limits | keys)


@pytest.fixture(scope="module", params=["tiny", pytest.param("smollm2", marks=REAL)])
def files(
    request: pytest.FixtureRequest, smollm: ModelFiles, tmp_path_factory: pytest.TempPathFactory
) -> ModelFiles:
    """A random Llama that knows what it says next, or the real model."""
    if request.param == "smollm2":
        return smollm
    config = LlamaConfig(
        vocab_size=49152, hidden_size=64, intermediate_size=64, num_hidden_layers=6,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=2048,
        initializer_range=0.2, tie_word_embeddings=True, eos_token_id=2, bos_token_id=1,
    )  # fmt: skip
    return random_model(LlamaForCausalLM, config, smollm, tmp_path_factory.mktemp("six-layers"))


@pytest.fixture(scope="module")
def renderer(files: ModelFiles) -> Renderer:
    return load_renderer(files)


@pytest.fixture(scope="module")
def policy(files: ModelFiles) -> Policy:
    return Policy(files, ModelConfig(device="cpu"), UpdateConfig(), temperature=1.0)


@pytest.fixture(scope="module", params=["vllm", "transformers"])
def engine(
    request: pytest.FixtureRequest, files: ModelFiles, renderer: Renderer
) -> Iterator[Engine]:
    opening = {"vllm": open_vllm, "transformers": open_transformers}[request.param]
    engine = opening(files, renderer.stops, ModelConfig().dtype)
    yield engine
    engine.close()


@pytest.fixture
def moved(policy: Policy) -> dict[str, torch.Tensor]:
    """Weights after one update of the smallest kind: each has moved by a rounding step."""
    return {
        name: torch.where(weight > 0, weight * (1 + 2**-7), weight)
        for name, weight in policy.named_weights()
    }


def test_an_honest_engine_is_proven(engine: Engine, policy: Policy, renderer: Renderer) -> None:
    prove_engine(engine, policy, renderer, config_with())
    mean, tokens = mean_gap(policy, first_answers(engine, renderer, config_with()))
    assert tokens > 100
    assert 0 < mean < gap_limit(config_with()) / 2


@pytest.mark.parametrize(
    "fault",
    {
        "a stale head": {HEAD: HEAD},
        "a stale layer": {UP.format(5): UP.format(5)},
        "a stale norm": {NORM: NORM},
        "swapped layers": {UP.format(3): UP.format(4), UP.format(4): UP.format(3)},
    }.items(),
    ids=lambda fault: fault[0],
)
def test_a_weight_that_did_not_arrive_is_named(
    engine: Engine,
    policy: Policy,
    moved: dict[str, torch.Tensor],
    fault: tuple[str, dict[str, str]],
) -> None:
    """`fault` says which weights reach the engine under which name, in place of the moved ones."""
    held = dict(policy.named_weights())
    send_weights(engine, lambda: held.items())
    name, wrong = fault
    source = held if "stale" in name else moved
    if engine.name == "transformers" and name == "a stale head":
        wrong = {HEAD: HEAD, EMBEDDING: EMBEDDING}  # one tensor there

    class Faulty:
        """The engine, with a fault on the way of the weights."""

        name = engine.name
        differing = staticmethod(engine.differing)

        @staticmethod
        def update_weights(weights: object) -> None:
            engine.update_weights((moved | {to: source[at] for to, at in wrong.items()}).items())

    with pytest.raises(ParityError, match="other weights than it was sent") as caught:
        send_weights(Faulty(), lambda: moved.items())  # type: ignore[arg-type]
    stale = str(caught.value).rpartition(": ")[2]
    for weight in wrong:
        fused = weight.replace("up_proj", "gate_up_proj") if engine.name == "vllm" else weight
        assert fused in stale


def test_weights_one_step_old_are_named(
    engine: Engine, policy: Policy, moved: dict[str, torch.Tensor]
) -> None:
    from azr_fast.rollout.checksum import checksums

    send_weights(engine, policy.named_weights)
    assert engine.differing(checksums(policy.named_weights())) == []
    layers = {name.split(".")[2] for name in moved if ".layers." in name}
    differing = engine.differing(checksums(moved.items()))
    for layer in layers:
        assert [name for name in differing if name.startswith(f"model.layers.{layer}.mlp.down")]


def test_wrong_weights_are_seen_by_what_they_sample_too(
    engine: Engine, policy: Policy, renderer: Renderer
) -> None:
    """The log-probs of sampled tokens part when weights do, whatever checksums say."""
    weights = dict(policy.named_weights())
    engine.update_weights((weights | {NORM: weights[NORM] * 1.5}).items())
    mean, tokens = mean_gap(policy, first_answers(engine, renderer, config_with()))
    with pytest.raises(ParityError, match=r"nats apart on \d+ sampled tokens"):
        check_gap(mean, tokens, config_with())
    send_weights(engine, policy.named_weights)
    check_gap(*mean_gap(policy, first_answers(engine, renderer, config_with())), config_with())


def test_an_engine_that_cannot_take_a_weight_is_refused(
    engine: Engine, policy: Policy, renderer: Renderer
) -> None:
    class Renamed:
        """The trainer, one of whose weights has another name than in the engine."""

        answer_logprobs = staticmethod(policy.answer_logprobs)

        @staticmethod
        def named_weights() -> Iterator[tuple[str, torch.Tensor]]:
            for name, weight in policy.named_weights():
                yield name.replace("layers.2.mlp.down_proj", "layers.2.mlp.experts.w2"), weight

    with pytest.raises(UserError, match=r"engine.*--rollout\.engine transformers"):
        prove_engine(engine, Renamed(), renderer, config_with())
    send_weights(engine, policy.named_weights)


@pytest.mark.parametrize(
    ("keys", "mean", "tokens", "alarm"),
    [
        ({"model.dtype": "bfloat16"}, 0.149, 1000, False),
        ({"model.dtype": "bfloat16"}, 0.151, 1000, True),
        ({}, 0.9, 20, False),  # too few tokens to tell
        ({}, float("nan"), 1000, True),
        ({}, None, 0, False),
        ({"model.dtype": "float32"}, 0.04, 1000, True),  # of two layers one of which leaks
        ({"model.dtype": "float32"}, 1e-5, 1000, False),
        (
            {"model.dtype": "bfloat16", "rollout.top_p": 0.9},
            0.25,
            1000,
            False,
        ),  # the nucleus explains up to 0.105
        ({"model.dtype": "bfloat16", "rollout.top_p": 0.9}, 0.26, 1000, True),
        ({"parity.max_gap": 0.2}, 0.19, 1000, False),
        ({"parity.max_gap": 0.2}, 0.21, 1000, True),
    ],
)
def test_the_limit(keys: dict[str, object], mean: float | None, tokens: int, alarm: bool) -> None:
    config = config_with(**keys)
    if alarm:
        with pytest.raises(ParityError, match=r"parity\.max_gap"):
            check_gap(mean, tokens, config)
    else:
        check_gap(mean, tokens, config)


@pytest.mark.parametrize("engine_name", ["vllm", "transformers"])
def test_a_mixture_of_experts_is_trained_or_refused_by_name(
    engine_name: str, smollm: ModelFiles, tmp_path: Path
) -> None:
    """vLLM's CPU build computes experts from a copy that a reload does not reach: the weights are
    there, and what is sampled is not what is trained."""
    files = random_mixture(smollm, tmp_path / "mixture")
    keys = {"model.name": str(files.folder), "rollout.engine": engine_name}
    config = config_with(**keys, **{"rollout.cache_gib": 0.2, "model.device": "cpu"})
    renderer = load_renderer(files)
    policy = Policy(files, config.model, config.update, temperature=1.0)
    if engine_name == "vllm":
        pytest.importorskip("vllm", reason="the vLLM engine is not installed")
    with closing(open_engine(config.rollout, files, renderer, config.model, 0)) as engine:
        if engine_name == "transformers":
            prove_engine(engine, policy, renderer, config)
            return
        with pytest.raises(UserError, match=r"mixture.*--rollout\.engine transformers"):
            prove_engine(engine, policy, renderer, config)


def random_mixture(source: ModelFiles, folder: Path) -> ModelFiles:
    """A random Qwen3 of four experts a layer, with the tokenizer of `source`."""
    config = Qwen3MoeConfig(
        vocab_size=49152, hidden_size=128, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, num_experts=4,
        num_experts_per_tok=2, moe_intermediate_size=32, initializer_range=0.1,
        tie_word_embeddings=False, eos_token_id=2, bos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    return random_model(Qwen3MoeForCausalLM, config, source, folder)


def random_model(
    architecture: Any, config: PreTrainedConfig, source: ModelFiles, folder: Path
) -> ModelFiles:
    """A folder with random weights and the tokenizer of `source`."""
    torch.manual_seed(0)
    architecture(config).save_pretrained(folder)
    for pattern in ("*token*", "*.jinja"):
        for path in source.folder.glob(pattern):
            shutil.copy(path, folder)
    return ModelFiles(folder, folder.name)
