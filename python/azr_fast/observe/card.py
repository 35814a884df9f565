"""The model card of a trained model: what it was, what it was trained on, and what came of it.

Front matter and sections are those of the Hub (https://huggingface.co/docs/hub/model-cards).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from azr_fast import __version__
from azr_fast.config.load import dump_config
from azr_fast.config.schema import Config
from azr_fast.observe.verdict import verdict
from azr_fast.policy.models import BUILTIN_MODELS, HUB_ID

Metrics = Mapping[str, Any]

# What happens in a game whose name is known here, and what its tasks are made of.
_METHODS = {
    "azr": "the model posed tasks, solved them, and was rewarded by what running the programs "
    "showed (method: arXiv 2505.03335)",
    "agent0": "a curriculum agent posed questions, and executors were rewarded for the answer that "
    "most of them gave (method: arXiv 2511.16043)",
}
_ORIGINS = {
    "azr": "every task was posed by the model itself and checked by running it",
    "agent0": "questions were posed by the curriculum agent, or filled from templates of the game "
    "where the config says so, and their labels are votes unless it says otherwise",
}


def model_card(name: str, config: Config, lines: Sequence[Metrics], licence: str) -> str:
    """The text of README.md beside the weights after the step of the last of `lines`.

    `licence` is an SPDX name; empty: that of a built-in model, else the card says that it is the
    base model's.
    """
    licence = licence or _known_licence(config.model.name)
    sections = [
        _front_matter(config, licence),
        f"# {name}",
        _origin(config, lines),
        f"## What came of it\n\n{verdict(lines)}",
        _use(name),
        _data(config, lines),
        _licence(licence),
        f"## Configuration\n\n```toml\n{dump_config(_public(config)).strip()}\n```",
    ]
    return "\n\n".join(sections) + "\n"


def _known_licence(model: str) -> str:
    builtin = BUILTIN_MODELS.get(model)
    return builtin.licence if builtin else ""


def _front_matter(config: Config, licence: str) -> str:
    base = config.model.name
    fields = [
        *([f"base_model: {base}"] if re.fullmatch(HUB_ID, base) else []),
        f"license: {licence.lower() if licence else 'other'}",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [reinforcement-learning, self-play, azr-fast]",
    ]
    return "\n".join(["---", *fields, "---"])


def _base(model: str) -> str:
    """What it is called, without folders of this machine."""
    if model in BUILTIN_MODELS:
        return BUILTIN_MODELS[model].description
    return Path(model).name if Path(model).is_absolute() else model


def _public(config: Config) -> Config:
    """The config without folders of this machine."""
    changes = {
        "model": {"name": _base(config.model.name)},
        "run": {"dir": "runs", "name": ""},
        "sandbox": {"socket": ""},
        "seeding": {"file": Path(config.seeding.file).name},
        "eval": {"data": tuple(map(_without_folder, config.eval.data))},
    }
    sections = {
        name: getattr(config, name).model_copy(update=update) for name, update in changes.items()
    }
    return config.model_copy(update=sections)


def _without_folder(data: str) -> str:
    """FILE or NAME=FILE without the folder of the file."""
    folder, slash, file = data.rpartition("/")
    name, mark, _ = folder.partition("=")
    return f"{name}={file}" if slash and mark else file


def _origin(config: Config, lines: Sequence[Metrics]) -> str:
    steps = lines[-1]["step"] if lines else 0
    how = _METHODS.get(config.game.name, "the model posed tasks and solved them")
    return (
        f"The base model is {_base(config.model.name)}. It was trained by self-play, {steps} "
        f"{'step' if steps == 1 else 'steps'} of the game `{config.game.name}` with azr-fast "
        f"{__version__}: {how}."
    )


def _use(name: str) -> str:
    return (
        "## Use\n\nThe folder is a plain Hugging Face folder.\n\n```bash\n"
        f"transformers chat {name}\nvllm serve {name}\n```"
    )


def _data(config: Config, lines: Sequence[Metrics]) -> str:
    counts = lines[-1]["buffer"] if lines else {}
    tasks = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"
    origin = _ORIGINS.get(config.game.name, "the tasks are those of the game")
    return (
        f"## Data\n\nNo data set was used: {origin}. Tasks in the buffers at the end: {tasks}. "
        f"Seed of the run: {config.run.seed}."
    )


def _licence(licence: str) -> str:
    if licence:
        return f"## Licence\n\n{licence}, as the base model."
    return "## Licence\n\nThat of the base model: see where it came from."
