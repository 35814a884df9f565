"""The parity probe with the real model: it passes after a whole sync and trips on a stale head."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from azr_fast.config.schema import ModelConfig, ParityConfig, UpdateConfig
from azr_fast.policy.chat import Renderer
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.policy import Policy
from azr_fast.rollout.engine import Engine
from azr_fast.rollout.parity import ParityError, ParityProbe, compare

from .conftest import open_transformers, open_vllm

pytestmark = pytest.mark.alone

TEXTS = ("Seven of the 12 foxes slept.", "def f(x):\n    return sorted(x)[::-1] + ['naïve ∑']\n")
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture(scope="module")
def policy(smollm: ModelFiles) -> Policy:
    return Policy(smollm, ModelConfig(device="cpu"), UpdateConfig(), temperature=1.0)


@pytest.fixture(scope="module", params=["vllm", "transformers"])
def engine(
    request: pytest.FixtureRequest, smollm: ModelFiles, renderer: Renderer
) -> Iterator[Engine]:
    if request.param == "vllm":
        engine = open_vllm(smollm, renderer)
    else:
        engine = open_transformers(smollm, renderer.stop_ids, "bfloat16")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def probe(engine: Engine, policy: Policy, renderer: Renderer) -> ParityProbe:
    return ParityProbe(engine, policy, renderer, TEXTS, ParityConfig())


@pytest.fixture
def moved(policy: Policy) -> Iterator[Policy]:
    """The policy with its tied embedding changed as an update might; put back afterwards."""
    embedding = dict(policy.named_weights())[EMBEDDING]
    before = embedding.clone()
    noise = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(0))
    embedding += (0.2 * embedding.float().std() * noise).to(embedding.dtype)
    yield policy
    embedding.copy_(before)


def test_fresh_engine_agrees_with_the_policy(probe: ParityProbe) -> None:
    assert probe.check() == probe.floor
    assert probe.floor.tokens > 60
    assert 0 < probe.floor.mean < 0.1
    assert probe.floor.mean < probe.floor.max < 0.7


def test_whole_sync_of_moved_weights_passes(
    probe: ParityProbe, engine: Engine, moved: Policy
) -> None:
    engine.update_weights(moved.named_weights())
    probe.check()


def test_missing_sync_trips(probe: ParityProbe, engine: Engine, policy: Policy) -> None:
    norm = "model.norm.weight"
    weights = dict(policy.named_weights())
    engine.update_weights((weights | {norm: weights[norm] * 1.5}).items())
    with pytest.raises(ParityError, match="disagree"):
        probe.check()


def test_other_weights_at_the_start_trip(
    engine: Engine, policy: Policy, renderer: Renderer
) -> None:
    norm = "model.norm.weight"
    weights = dict(policy.named_weights())
    engine.update_weights((weights | {norm: weights[norm] * 0.3}).items())
    with pytest.raises(ParityError, match="before any training"):
        ParityProbe(engine, policy, renderer, TEXTS, ParityConfig())


def test_stale_head_trips(probe: ParityProbe, engine: Engine, moved: Policy) -> None:
    """vLLM keeps the head of a tied model apart: sending the embedding alone leaves it stale."""
    held_back = {HEAD} if engine.name == "vllm" else {HEAD, EMBEDDING}
    engine.update_weights((n, w) for n, w in moved.named_weights() if n not in held_back)
    with pytest.raises(ParityError, match=r"stale weights.*--resume"):
        probe.check()


def test_engine_is_whole_again_after_the_next_sync(
    probe: ParityProbe, engine: Engine, policy: Policy
) -> None:
    engine.update_weights(policy.named_weights())
    probe.check()


def test_a_nan_never_passes() -> None:
    for scores in ([[float("nan"), -1.0]], [[-1.0, float("nan")]]):
        report = compare(scores, [[-1.0, -1.0]])
        assert not report.within(1e9, 1e9)


def test_unequal_shapes_are_a_bug() -> None:
    with pytest.raises(ValueError, match="zip"):
        compare([[-1.0]], [[-1.0, -2.0]])
