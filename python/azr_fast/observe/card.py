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
    model = config.model.model_copy(update={"name": _base(config.model.name)})
    run = config.run.model_copy(update={"dir": "runs", "name": ""})
    sandbox = config.sandbox.model_copy(update={"socket": ""})
    return config.model_copy(update={"model": model, "run": run, "sandbox": sandbox})


def _origin(config: Config, lines: Sequence[Metrics]) -> str:
    steps = lines[-1]["step"] if lines else 0
    return (
        f"The base model is {_base(config.model.name)}. It was trained by self-play, {steps} "
        f"policy updates of the game `{config.game.name}` with azr-fast {__version__}: the model "
        "posed tasks, solved them, and was rewarded by what running the programs showed (method: "
        "arXiv 2505.03335)."
    )


def _use(name: str) -> str:
    return (
        "## Use\n\nThe folder is a plain Hugging Face folder.\n\n```bash\n"
        f"transformers chat {name}\nvllm serve {name}\n```"
    )


def _data(config: Config, lines: Sequence[Metrics]) -> str:
    counts = lines[-1]["buffer"] if lines else {}
    tasks = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"
    return (
        "## Data\n\nNo data set was used: every task was posed by the model itself and checked by "
        f"running it. Tasks in the buffers at the end: {tasks}. Seed of the run: {config.run.seed}."
    )


def _licence(licence: str) -> str:
    if licence:
        return f"## Licence\n\n{licence}, as the base model."
    return "## Licence\n\nThat of the base model: see where it came from."
