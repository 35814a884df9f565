"""What has no room on the disk or the GPU is refused before anything is loaded."""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.policy import room
from azr_fast.policy.footprint import footprint, read_shape

PARAMETERS = 2**24


@pytest.fixture
def config(tmp_path):
    """Of a model of 2**24 parameters whose sizes can be told."""
    (tmp_path / "config.json").write_text(
        '{"hidden_size": 512, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 1000,'
        ' "intermediate_size": 1024, "num_hidden_layers": 3}'
    )
    save_file({"a": np.zeros((2**12, 2**12), np.float16)}, tmp_path / "model.safetensors")
    keys = {"model.name": str(tmp_path), "run.dir": str(tmp_path / "runs" / "deep")}
    return load_config("cpu", keys | {"model.dtype": "bfloat16", "run.keep_checkpoints": 3})


def test_the_disk_must_hold_the_checkpoints_and_the_next(config, monkeypatch):
    shape = read_shape(config.model.name)
    assert room.checkpoint_gib(config, shape) == pytest.approx(PARAMETERS * 14 / 2**30)
    needed = room.disk_gib(config, shape)
    assert needed == pytest.approx(4 * PARAMETERS * 14 / 2**30)
    monkeypatch.setattr(room, "free_disk_gib", lambda config: needed * 1.01)
    room.check_room(config, "cpu")
    monkeypatch.setattr(room, "free_disk_gib", lambda config: needed * 0.99)
    with pytest.raises(
        UserError, match=r"take about 0\.9 GiB and 0\.9 GiB are free where .*deep lies: free"
    ):
        room.check_room(config, "cpu")


def test_the_disk_is_that_of_the_nearest_folder_that_is_there(config, tmp_path):
    assert room.free_disk_gib(config) == pytest.approx(
        os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize / 2**30, rel=0.05
    )


def smi(tmp_path, monkeypatch, text):
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_a_gpu_must_hold_trainer_and_engine(config, tmp_path, monkeypatch):
    config = config.model_copy(
        update={
            "rollout": config.rollout.model_copy(
                update={"engine": "vllm", "gpu_memory_fraction": 0.5}
            )
        }
    )
    trainer = footprint(config, read_shape(config.model.name), "cuda").total()
    enough = round((trainer + 8.0) * 1024) + 1
    smi(tmp_path, monkeypatch, f"echo '16384, {enough}'")
    room.check_room(config, "cuda")
    smi(tmp_path, monkeypatch, f"echo '16384, {enough - 20}'")
    with pytest.raises(
        UserError, match=r"of the GPU, its engine 8\.0, .* of 16\.0 GiB are free: lower"
    ):
        room.check_room(config, "cuda")
    room.check_room(config, "cpu")


@pytest.mark.parametrize("text", ["exit 9", "echo none", "true"])
def test_a_gpu_that_does_not_tell_is_not_refused(config, tmp_path, monkeypatch, text):
    smi(tmp_path, monkeypatch, text)
    assert room.gpu_gib() is None
    room.check_room(config, "cuda")


def test_a_model_that_is_not_here_is_not_refused(config):
    other = config.model_copy(
        update={"model": config.model.model_copy(update={"name": "nobody/nothing"})}
    )
    room.check_room(other, "cuda")
