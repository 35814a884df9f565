"""Who is evaluated: a model, the newest checkpoint of a run, or one checkpoint."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from azr_fast.config.load import load_config
from azr_fast.config.schema import ModelConfig
from azr_fast.errors import UserError
from azr_fast.evaluate.run import Subject
from azr_fast.evaluate.store import weights_digest
from azr_fast.hardware import gpu_usable
from azr_fast.observe.runfolder import CONFIG_FILE, RUN_FILE, check_format
from azr_fast.observe.typed import command
from azr_fast.policy.checkpoint import (
    ADAPTER_FOLDER,
    MODEL_FOLDER,
    is_whole,
    latest_checkpoint,
)
from azr_fast.policy.library import told
from azr_fast.policy.models import HUB_ID, ModelFiles, resolve_model


def find_files(target: str) -> ModelFiles:
    """The model folder that a name, a run or a checkpoint stands for. Raises UserError."""
    path = Path(target).expanduser()
    if (path / RUN_FILE).exists():
        return ModelFiles(_newest(path), target)
    if re.fullmatch(r"step-\d+", path.name) and path.is_dir():
        return ModelFiles(_of_checkpoint(path), target)
    is_path = not re.fullmatch(HUB_ID, target) or path.parent.is_dir()
    if "/" in target and is_path and not path.exists():
        raise UserError(
            f"there is no run, checkpoint or model at {target}: give the folder that `azr-fast "
            "train` named, a checkpoint in it (RUN/checkpoints/step-N), or a model"
        )
    return ModelFiles(resolve_model(target).folder, target)


def _newest(run: Path) -> Path:
    check_format(run)
    newest = latest_checkpoint(run / "checkpoints")
    _refuse_adapter(newest)
    if newest is None or not (newest / MODEL_FOLDER).is_dir():
        name = load_config(run / CONFIG_FILE).model.name
        raise UserError(
            f"run {run} has no checkpoint with a model yet: wait for its first one, or evaluate "
            f"the model that it began with, {name}"
        )
    return (newest / MODEL_FOLDER).resolve()


def _of_checkpoint(path: Path) -> Path:
    run = path.resolve().parent.parent
    if (run / RUN_FILE).exists():
        check_format(run)
    _refuse_adapter(path)
    if not is_whole(path) or not (path / MODEL_FOLDER).is_dir():
        raise UserError(
            f"checkpoint {path} is damaged or holds no model: give another one of {path.parent}"
        )
    return (path / MODEL_FOLDER).resolve()


def _refuse_adapter(checkpoint: Path | None) -> None:
    if checkpoint and (checkpoint / ADAPTER_FOLDER).is_dir():
        step, run = checkpoint.name.removeprefix("step-"), checkpoint.resolve().parent.parent
        raise UserError(
            f"{checkpoint} holds an adapter and no model: "
            f"{command('export', run, 'DIR', '--step', step)} merges it into its base, and DIR can "
            "be evaluated"
        )


def subject_of(files: ModelFiles, engine: str, model: ModelConfig) -> Subject:
    """The subject that `engine` makes of a model folder. Reads all weights once."""
    with told(f"cannot read {files.folder}", "get the model again"):
        digest = weights_digest(files.folder)
    return Subject(files.name, digest, engine_version(engine, model))


def engine_version(engine: str, model: ModelConfig) -> str:
    """The engine with all that its numbers depend on."""
    parts = [f"{name} {_version(name)}" for name in dict.fromkeys((engine, "torch"))]
    device = "cuda" if model.device == "auto" and gpu_usable() else model.device
    return ", ".join([*parts, model.dtype, device])


def _version(package: str) -> str:
    for name in (package, f"{package}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "of unknown version"
