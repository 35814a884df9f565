"""Files and folders that a config names, wherever the next command is typed."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from azr_fast.config.schema import Config
from azr_fast.policy.models import BUILTIN_MODELS


def anchored(config: Config) -> Config:
    """`config` with absolute paths for what a resumed run uses, and `~` expanded.

    That is a model's folder or file, a file of seeds, records of benchmarks, and the sandbox's
    socket. Built-in names and hub ids stay, but a folder goes before a hub id of the same spelling.
    `run.dir` stays relative: a resumed run lies where it was found.
    """
    names = {spelled(name) for name in config.eval.benchmarks}
    return config.model_copy(
        update={
            "run": config.run.model_copy(update={"dir": os.path.expanduser(config.run.dir)}),
            "model": config.model.model_copy(update={"name": _model(config.model.name)}),
            "seeding": config.seeding.model_copy(update={"file": _file(config.seeding.file)}),
            "eval": config.eval.model_copy(
                update={"data": tuple(_records(one, names) for one in config.eval.data)}
            ),
            "sandbox": config.sandbox.model_copy(update={"socket": _file(config.sandbox.socket)}),
        }
    )


def _file(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path)) if path else ""


def spelled(benchmark: str) -> str:
    """The name of a benchmark as its entry point has it: of humaneval+ it is humaneval-plus."""
    return benchmark.replace("+", "-plus")


def _records(data: str, benchmarks: Collection[str]) -> str:
    """FILE, or NAME=FILE where NAME is a benchmark that is asked for."""
    name, mark, file = data.partition("=")
    named = bool(mark) and spelled(name) in benchmarks
    return f"{name}={_file(file)}" if named else _file(data)


def _model(name: str) -> str:
    """The name of a model as the next command would have to type it."""
    path = Path(os.path.expanduser(name))
    if name in BUILTIN_MODELS:
        return name
    if path.is_dir():
        return str(path.resolve())
    if path.is_file() or path.suffix == ".gguf":
        return str(path.parent.resolve() / path.name)  # the target of a link may lack the suffix
    return name
