"""`azr-fast export RUN DIR`: the model of a run as a folder for others, with its model card."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from azr_fast.config.load import load_config
from azr_fast.config.schema import ModelConfig
from azr_fast.errors import UserError
from azr_fast.observe.card import model_card
from azr_fast.observe.files import read_lines
from azr_fast.observe.runfolder import CONFIG_FILE, check_format
from azr_fast.policy.checkpoint import (
    ADAPTER_FOLDER,
    MODEL_FOLDER,
    is_whole,
    latest_checkpoint,
)

CARD = "README.md"
_SPDX = r"[A-Za-z0-9][A-Za-z0-9.+-]*"
DESCRIPTION = """\
Copy the model of a run's newest checkpoint into DIR: weights, tokenizer, chat
template and a model card with the base model, the game, the steps, the data of
the run and the licence. DIR is a plain Hugging Face folder: chat with it, serve
it, push it. It must not exist, or be empty.

Of a run of adapters (roles.proposer = lora) DIR holds the base model with the
solver's adapter merged into it, and that adapter alone, as peft loads it, in
DIR/adapter."""
EPILOG = """\
examples:
  azr-fast export runs/hour my-model
  azr-fast export runs/hour my-model-25 --step 25 --licence apache-2.0"""


def add_options(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """The run, the folder, the step, the licence."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", metavar="RUN", type=Path, help="run folder")
    parser.add_argument("target", metavar="DIR", type=Path, help="folder to write")
    parser.add_argument(
        "--step", type=int, metavar="N", help="the checkpoint after step N (default: the newest)"
    )
    parser.add_argument(
        "--licence",
        default="",
        metavar="NAME",
        help="SPDX name for the card (default: that of a built-in model, else the base model's)",
    )
    parser.set_defaults(run=export)


def export(space: argparse.Namespace) -> int:
    """Write the folder; say what it is good for."""
    run, target = space.folder.expanduser(), space.target.expanduser()
    check_format(run)
    _check_licence(space.licence)
    checkpoint = _checkpoint(run, space.step)
    _check_free(target)
    step = int(checkpoint.name.removeprefix("step-"))
    lines = [line for line in read_lines(run / "metrics.jsonl") if line["step"] <= step]
    config, name = load_config(run / CONFIG_FILE), Path(os.path.abspath(target)).name
    card = model_card(name, config, lines, space.licence)
    _write(lambda folder: _fill(folder, checkpoint, config.model), target, card)
    print(f"model after step {step}: {target}\n{uses(target)}")
    return 0


def uses(folder: Path) -> str:
    """What a folder with a model is good for, as commands."""
    rows = (
        ("transformers chat", "chat with it"),
        ("vllm serve", "serve it, as OpenAI's interface over HTTP"),
        ("hf upload OWNER/NAME", "push it to the Hub"),
    )
    place = shlex.quote(str(folder))
    return "\n".join(f"  {start + ' ' + place:<40}  # {use}" for start, use in rows)


def _checkpoint(run: Path, step: int | None) -> Path:
    """The checkpoint asked for. UserError when it is not there, damaged, or without a model."""
    checkpoints = run / "checkpoints"
    if step is None:
        found = latest_checkpoint(checkpoints)
    else:
        named = checkpoints / f"step-{step}"
        found = named if is_whole(named) else None
    if found is None or not holds_weights(found):
        there = sorted(path.name for path in checkpoints.glob("step-*") if holds_weights(path))
        have = f"it has {', '.join(there)}" if there else "it has none yet: let it train on"
        wanted = (
            "no checkpoint with a model" if step is None else f"no whole checkpoint of step {step}"
        )
        raise UserError(f"run {run} has {wanted}: {have}")
    return found


def _check_licence(name: str) -> None:
    """It stands in the card's front matter, where another character might mean something else."""
    if name and not re.fullmatch(_SPDX, name):
        raise UserError(f"--licence {name!r} is no SPDX name: give one such as apache-2.0")


def _check_free(target: Path) -> None:
    if (
        Path(os.path.abspath(target)) == Path.cwd()
    ):  # what takes the place of a folder leaves those who are in it nowhere
        raise UserError("DIR is the folder that you are in: name another one")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} is there already: name another folder, or remove it")


def holds_weights(checkpoint: Path) -> bool:
    """Whether a checkpoint holds a model or an adapter; that of step 0 holds tasks alone."""
    return any((checkpoint / name).is_dir() for name in (MODEL_FOLDER, ADAPTER_FOLDER))


def _fill(target: Path, checkpoint: Path, model: ModelConfig) -> None:
    """Copy the model of a checkpoint, or merge its adapter into the base model of the run."""
    adapter = checkpoint / ADAPTER_FOLDER
    if not adapter.is_dir():
        shutil.copytree(checkpoint / MODEL_FOLDER, target)
        return
    from azr_fast.policy.adapter_files import write_merged  # it imports torch, which takes seconds
    from azr_fast.policy.models import resolve_model

    write_merged(resolve_model(model.name), model.dtype, adapter, target)
    shutil.copytree(adapter, target / ADAPTER_FOLDER)


def _write(fill: Callable[[Path], None], target: Path, card: str) -> None:
    """The folder appears when it is whole."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        fill(partial)
        (partial / CARD).write_text(card, encoding="utf-8")
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        reason = error.strerror or error
        raise UserError(
            f"cannot write {target}: {reason}; name another folder, or free some space"
        ) from None
