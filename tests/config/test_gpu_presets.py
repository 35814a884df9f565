"""Each preset for a GPU fits the GPU it is for, and `gpu` is the one that fits the machine."""

import sys
from pathlib import Path

import pytest

from azr_fast import hardware
from azr_fast.config import load
from azr_fast.config.load import fitting, load_config
from azr_fast.errors import UserError
from azr_fast.policy.footprint import GIB, footprint

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
PRESETS = [("gpu-16", 16), ("gpu-24", 24), ("gpu-48", 48), ("gpu", 80)]
SPARE = 1.5  # GiB: what CUDA, a sleeping vLLM and its captured graphs hold


def shape_of(model):
    from step_models import shape_of

    return shape_of(model.rpartition("Coder-")[2].removesuffix("-Instruct"))


@pytest.mark.parametrize(("preset", "gigabytes"), PRESETS)
def test_a_preset_fits_its_gpu_at_play_and_in_an_update(preset, gigabytes):
    config = load_config(preset)
    held = footprint(config, shape_of(config.model.name), "cuda")
    room = gigabytes * 1e9 / GIB
    assert config.rollout.sleep
    assert held.total() + SPARE < room
    between = held.weights + held.masters + held.moments + held.libraries
    assert between + config.rollout.gpu_memory_fraction * room + SPARE < room


@pytest.mark.parametrize("name", ["0.5B", "1.5B", "3B", "7B", "135M"])
def test_the_shapes_that_are_predicted_are_those_of_transformers(name):
    import torch
    from step_models import CONFIGS, shape_of
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = dict(CONFIGS[name])
    config = AutoConfig.for_model(sizes.pop("model_type", "qwen2"), **sizes)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert shape_of(name).parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("memory_gb", "preset"),
    # What drivers report of a T4, A10G, 4090, L40S, A100, H200; None: not known.
    [
        (16.1, "gpu-16"), (15.1, "gpu-16"), (24.1, "gpu-24"), (25.8, "gpu-24"), (40.0, "gpu-24"),
        (47.7, "gpu-48"), (85.2, "gpu"), (150.8, "gpu"), (None, "gpu"),
    ],
)  # fmt: skip
def test_gpu_is_the_preset_that_fits(memory_gb, preset, monkeypatch):
    assert fitting("gpu", memory_gb) == preset
    monkeypatch.setattr(load, "gpu_memory_gb", lambda: memory_gb)
    assert load_config("gpu") == load_config(preset)


def test_a_gpu_that_is_too_small_is_refused_by_its_size():
    with pytest.raises(UserError, match=r"16 GB or more, and this one has 9: .*gpu-16"):
        fitting("gpu", 8.6)


def test_memory_of_a_gpu_is_that_of_the_smallest(monkeypatch, tmp_path):
    """As the driver's tool writes it: MiB, one GPU a line."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 81559\necho 23028\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(hardware, "gpu_devices", lambda: [Path("/dev/nvidia0")])
    assert hardware.gpu_memory_gb() == pytest.approx(24.15, abs=0.01)
    tool.write_text("#!/bin/sh\necho broken\nexit 9\n")
    assert hardware.gpu_memory_gb() is None
    monkeypatch.setattr(hardware, "gpu_devices", list)
    assert hardware.gpu_memory_gb() is None
