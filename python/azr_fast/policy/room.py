"""Whether what a run will hold has room on the GPU and on the disk, before anything is loaded."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.policy.footprint import (
    BYTES,
    GIB,
    ModelShape,
    footprint,
    learning_elements,
    read_shape,
)

QUERY = ("nvidia-smi", "--query-gpu=memory.total,memory.free", "--format=csv,noheader,nounits")
ADAM = 12  # bytes of a checkpoint for each number that learns: fp32 master, AdamW's two moments


def checkpoint_gib(config: Config, shape: ModelShape) -> float:
    """What one checkpoint takes: of each policy the model as it is served, or its adapter in fp32,
    and what the optimizer goes on with."""
    element = 4 if config.roles.adapters else BYTES[config.model.dtype]
    copies = 2 if config.roles.apart else 1
    return learning_elements(config, shape) * (element + ADAM) * copies / GIB


def disk_gib(config: Config, shape: ModelShape) -> float:
    """The checkpoints that are kept, and the next one, which is written before an old one goes."""
    return checkpoint_gib(config, shape) * (config.run.keep_checkpoints + 1)


def free_disk_gib(config: Config) -> float:
    """Of the disk on which the run's folder will lie, or lies."""
    folder = Path(config.run.dir).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free / GIB


def gpu_gib() -> tuple[float, float] | None:
    """Total and free memory of the first GPU that this process would use, by nvidia-smi; None
    where that cannot be asked, as where torch brings the only driver library."""
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, timeout=30, check=True)
        total, free = done.stdout.splitlines()[0].split(",")
        return int(total) / 1024, int(free) / 1024
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def check_room(config: Config, device: str) -> None:
    """Raise UserError when the disk, or the GPU where `device` is one, is too small for a run.

    Nothing is refused for a model whose shape cannot be told (`read_shape`).
    """
    shape = read_shape(config.model.name)
    if shape is None:
        return
    _check_disk(config, shape)
    if device == "cuda" and (memory := gpu_gib()):
        _check_gpu(config, shape, *memory)


def _check_disk(config: Config, shape: ModelShape) -> None:
    needed, free = disk_gib(config, shape), free_disk_gib(config)
    if needed > free:
        raise UserError(
            f"the checkpoints of {config.model.name} take about {needed:.1f} GiB and {free:.1f} "
            f"GiB are free where {config.run.dir} lies: free some, choose another --run.dir, or "
            "lower run.keep_checkpoints"
        )


def _check_gpu(config: Config, shape: ModelShape, total: float, free: float) -> None:
    held = footprint(config, shape, "cuda")
    trainer, engine = held.total(), held.weights
    if config.rollout.engine == "vllm" or (config.rollout.engine == "auto" and find_spec("vllm")):
        engine = config.rollout.gpu_memory_fraction * total
    if trainer + engine > free:
        raise UserError(
            f"training {config.model.name} takes about {trainer:.1f} GiB of the GPU, its engine "
            f"{engine:.1f}, which rollout.gpu_memory_fraction bounds for vLLM, and {free:.1f} of "
            f"{total:.1f} GiB are free: lower the fraction or update.pack_tokens, set "
            "update.recompute, or choose a smaller model (azr-fast train --dry-run shows the parts)"
        )
