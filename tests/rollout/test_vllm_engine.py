"""What is particular to vLLM: its traps."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from azr_fast.config.schema import ModelConfig
from azr_fast.errors import UserError
from azr_fast.policy.models import ModelFiles
from azr_fast.rollout import open_engine, vllm_engine
from azr_fast.rollout.checksum import checksums
from azr_fast.rollout.engine import EngineDied, Request
from azr_fast.rollout.renderer import Renderer
from azr_fast.rollout.vllm_engine import _gpu_args
from azr_fast.types import Sampling

from .conftest import ROLLOUT, TINY_STOPS, Rig, open_vllm

pytestmark = pytest.mark.engine


def test_torch_keeps_its_threads(tiny: ModelFiles) -> None:
    set_num_threads, threads = torch.set_num_threads, torch.get_num_threads()
    affinity = os.sched_getaffinity(0)
    engine = open_vllm(tiny, TINY_STOPS, "float32")
    assert torch.get_num_threads() == threads
    assert torch.set_num_threads is set_num_threads
    for thread in os.listdir("/proc/self/task"):  # none is bound to a core
        assert os.sched_getaffinity(int(thread)) == affinity
    engine.close()
    engine.close()  # idempotent


def test_a_seed_of_any_size_becomes_one_that_vllm_takes(
    tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "_device_args", lambda config, longest: {})
    model = ModelConfig(dtype="float32")
    arguments = vllm_engine._engine_args(ROLLOUT, tiny, model, seed=2**32 + 7)
    assert arguments["seed"] == 7


def test_logprobs_are_those_after_temperature_and_nucleus(vllm_rig: Rig) -> None:
    """vLLM's default, log-probs before temperature, is off by 0.2 and more here."""
    gaps = []
    requests = vllm_rig.requests(24, temperature=0.6, top_p=0.9)
    for completion in vllm_rig.generate(requests).values():
        request, ids = requests[completion.id[0]], completion.token_ids
        logp_TV = vllm_rig.distributions(request.prompt_ids, ids, request.sampling)
        expected = logp_TV.gather(1, torch.tensor(ids)[:, None])[:, 0]
        gaps.append((expected - torch.tensor(completion.logprobs)).abs())
    assert torch.cat(gaps).mean() < 0.03


def test_more_prompt_tokens_than_a_step_takes(vllm_rig: Rig) -> None:
    """vLLM cannot cut the prompt of a seeded request into steps on a CPU: it dies."""
    prompts = [tuple(i % 97 for i in range(start, start + 380)) for start in range(16)]
    requests = [Request((i,), ids, i, Sampling(2)) for i, ids in enumerate(prompts)]
    assert len(vllm_rig.generate(requests)) == 16


def test_an_engine_that_slept_holds_the_weights_it_is_sent(vllm_rig: Rig) -> None:
    """The calls around an update on a GPU; the CPU build takes them, and gives no memory back."""
    engine = cast(Any, vllm_rig.engine)
    requests = vllm_rig.requests(8)
    before = vllm_rig.generate(requests)
    assert not engine.rest()  # on a CPU there is nothing to gain
    engine._sleeps = True
    try:
        assert engine.rest()
        assert engine._engine.is_sleeping()
        engine.update_weights((name, weight * 0) for name, weight in vllm_rig.weights.items())
        assert not engine._engine.is_sleeping()
        assert engine.differing(checksums(vllm_rig.weights.items()))
        assert engine.rest()
        engine.update_weights(vllm_rig.weights.items())
    finally:
        engine._sleeps = False
    assert not engine.differing(checksums(vllm_rig.weights.items()))
    after = vllm_rig.generate(requests)
    assert {i: done.token_ids for i, done in before.items()} == {
        i: done.token_ids for i, done in after.items()
    }


@pytest.mark.parametrize("sleep", [True, False])
def test_vllm_takes_the_arguments_of_a_gpu(tiny: ModelFiles, sleep: bool) -> None:
    """As names and types: without a GPU no engine starts with them."""
    arg_utils = pytest.importorskip("vllm.engine.arg_utils")
    config = ROLLOUT.model_copy(update={"sleep": sleep})
    arguments = arg_utils.EngineArgs(model=str(tiny.folder), **_gpu_args(config))
    assert arguments.enable_sleep_mode is sleep
    assert arguments.enforce_eager is False
    assert arguments.gpu_memory_utilization == config.gpu_memory_fraction


# vLLM's process groups are global: opening another engine ends the rig's. These tests come last.


def test_a_cache_that_does_not_fit_names_the_key(tiny: ModelFiles, renderer: Renderer) -> None:
    pytest.importorskip("vllm")
    config = ROLLOUT.model_copy(update={"engine": "vllm", "cache_gib": 1e5})
    with pytest.raises(UserError, match=r"--rollout\.cache_gib"):
        open_engine(config, tiny, renderer, ModelConfig(), seed=0)


@pytest.mark.parametrize("broken", ["architecture", "shape"])
def test_a_model_that_vllm_cannot_serve_is_one_line(
    tiny: ModelFiles, renderer: Renderer, tmp_path: Path, broken: str
) -> None:
    """Whatever its code for the model raises: pydantic's errors, AssertionError, KeyError."""
    pytest.importorskip("vllm")
    folder = shutil.copytree(tiny.folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    if broken == "architecture":
        config |= {"model_type": "xlnet", "architectures": ["XLNetLMHeadModel"]}
        config |= {"d_inner": 64, "d_head": 32}
        del config["max_position_embeddings"]  # its config has none
    else:
        config |= {"intermediate_size": 96}
    (folder / "config.json").write_text(json.dumps(config))
    rollout = ROLLOUT.model_copy(update={"engine": "vllm"})
    with pytest.raises(UserError, match=r"vLLM cannot start \(.*--rollout\.engine") as refused:
        open_engine(rollout, ModelFiles(folder, "tiny"), renderer, ModelConfig(dtype="float32"), 0)
    assert "\n" not in str(refused.value)


def test_a_failing_step_is_an_engine_that_died(tiny: ModelFiles) -> None:
    engine = cast(Any, open_vllm(tiny, TINY_STOPS, "float32"))
    runner = engine._engine.model_executor.driver_worker.worker.model_runner
    runner.model.model.norm.weight.data = torch.ones(3)  # the next forward pass cannot work
    engine.submit(Request((0,), (1, 2, 3), 0, Sampling(4)))
    with pytest.raises(EngineDied, match="the vllm engine died"):
        engine.poll()
    engine.restart(tiny)
    engine.submit(Request((0,), (1, 2, 3), 0, Sampling(4)))
    while not (done := engine.poll()):
        pass
    assert done[0].token_ids
    engine.close()
