"""Whether a Hugging Face folder holds a model that can be trained, without reading its weights.

Each file that a loader would read is looked at: there, whole, what its name says. Whatever is
refused is one line that names the file. The tensors themselves are checked when they are loaded
(policy/loading.py), the tokenizer too (rollout/renderer.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azr_fast.errors import UserError
from azr_fast.policy.library import told

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
JSON_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "chat_template.json",
    "model.safetensors.index.json",
)
TEXT_FILES = ("chat_template.jinja", "merges.txt")
INDEX = "model.safetensors.index.json"
QUANTISED_FILES = ("quantize_config.json", "quant_config.json")  # of GPTQ and AWQ
POINTER = b"version https://git-lfs.github.com/spec/"  # github.com/git-lfs/git-lfs/docs/spec.md
FLOATS = {"F64", "F32", "F16", "BF16"}  # as safetensors names them


def check_folder(folder: Path, remedy: str) -> None:
    """Raise UserError unless `folder` holds a config of a causal language model whose code is in
    transformers, a tokenizer, and weights that are whole and not quantised.

    `remedy` is what to do about a file that is missing or broken. Cheap: of weights only headers
    are read.
    """
    with readable(folder):
        names = set(os.listdir(folder))
    for name in names.intersection(JSON_FILES):
        _read_object(folder / name, remedy)
    for name in names.intersection(TEXT_FILES):
        _read_text(folder / name, remedy)
    if "config.json" not in names:
        raise UserError(f"{folder} has no config.json: {remedy}")
    _check_config(folder, _read_object(folder / "config.json", remedy), remedy)
    if not names.intersection(TOKENIZER_FILES):
        raise UserError(f"{folder} has no tokenizer ({' or '.join(TOKENIZER_FILES)}): {remedy}")
    for file in _weight_files(folder, names, remedy):
        _check_safetensors(file, remedy)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say by name what keeps `path` from being read."""
    try:
        yield
    except FileNotFoundError:
        if path.is_symlink():
            raise UserError(
                f"{path} is a link to {os.readlink(path)}, which is not there: mend the link"
            ) from None
        raise UserError(f"{path} is missing: get the model again") from None
    except OSError as error:
        raise UserError(
            f"cannot read {path} ({error.strerror or error}): make it a file that you may read"
        ) from None


def check_file(path: Path, remedy: str) -> None:
    """Raise UserError for what is no file, is empty, or is what Git LFS leaves in its place."""
    with readable(path), path.open("rb") as stream:
        first = stream.read(len(POINTER))
    if first == POINTER:
        raise UserError(
            f"{path} is a Git LFS pointer in place of the file: run `git lfs pull` in {path.parent}"
        )
    if not first:
        raise UserError(f"{path} is empty: {remedy}")


def _read_text(path: Path, remedy: str) -> str:
    check_file(path, remedy)
    with readable(path):
        data = path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error.reason}): {remedy}") from None


def _read_object(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object of a file."""
    text = _read_text(path, remedy)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}): {remedy}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object: {remedy}")
    return value


def _check_config(folder: Path, config: dict[str, Any], remedy: str) -> None:
    """Whether transformers can make a model of this config, and read how it generates."""
    from transformers import AutoConfig, GenerationConfig

    if not isinstance(config.get("model_type"), str):
        raise UserError(f"{folder}/config.json names no model_type: {remedy}")
    _refuse_quantised(folder, config)
    _check_type(folder, config)
    with told(f"cannot read {folder}/config.json", remedy):
        AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if (folder / "generation_config.json").exists():
        with told(f"cannot read {folder}/generation_config.json", remedy):
            GenerationConfig.from_pretrained(folder)


def _check_type(folder: Path, config: dict[str, Any]) -> None:
    """Whether transformers has the code of this type of model, as a causal language model."""
    from transformers import __version__
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = config["model_type"]
    if kind not in CONFIG_MAPPING_NAMES and "auto_map" in config:
        raise UserError(
            f"{folder} brings code of its own (auto_map), which is not run: "
            "choose a model whose type transformers knows"
        )
    if kind not in CONFIG_MAPPING_NAMES:
        raise UserError(
            f"{folder} has the model type {kind!r}, which transformers {__version__} does not "
            "know: choose another model, or install a transformers that knows it"
        )
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or config.get("is_encoder_decoder"):
        raise UserError(
            f"{folder} has the model type {kind!r}, which is not a causal language model: "
            "choose one that is, such as Llama, Qwen2 or Qwen3"
        )


def _refuse_quantised(folder: Path, config: dict[str, Any]) -> None:
    """Methods that keep weights in few bits say so in the config, or in files of their own."""
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    keys = ("quantization_config", "compression_config")
    settings = [part[key] for part in parts for key in keys if part.get(key)]
    files = [name for name in QUANTISED_FILES if (folder / name).exists()]
    if settings or files:
        named = _method(settings[0]) if settings else files[0]
        raise UserError(_quantised(folder, named))


def _method(settings: object) -> str:
    return str(settings.get("quant_method")) if isinstance(settings, dict) else str(settings)


def _quantised(path: Path, sign: str) -> str:
    return (
        f"{path} holds quantised weights ({sign}), which cannot be trained: "
        "choose the same model in bfloat16, or its .gguf file, which is expanded"
    )


def _weight_files(folder: Path, names: set[str], remedy: str) -> list[Path]:
    if INDEX not in names:
        files = sorted(name for name in names if name.endswith(".safetensors"))
        if not files and any(name.endswith((".bin", ".pt", ".pth")) for name in names):
            raise UserError(
                f"{folder} has its weights as pickles, which are not read: "
                "choose or make a copy of the model with .safetensors files"
            )
        if not files:
            raise UserError(f"{folder} has no .safetensors file: {remedy}")
        return [folder / name for name in files]
    places = _read_object(folder / INDEX, remedy).get("weight_map")
    named = isinstance(places, dict) and all(isinstance(n, str) for n in places.values())
    if not places or not named:
        raise UserError(f"{folder / INDEX} is not a safetensors index: {remedy}")
    outside = [name for name in places.values() if Path(name).name != name]
    if outside:
        raise UserError(f"{folder / INDEX} points outside the folder ({outside[0]}): {remedy}")
    return [folder / name for name in sorted(set(places.values()))]


def _check_safetensors(file: Path, remedy: str) -> None:
    """Opening maps the file and checks its header against its length; no weight is read."""
    from safetensors import safe_open

    check_file(file, remedy)
    with (
        told(f"{file} is truncated or corrupt", remedy),
        safe_open(file, framework="numpy") as tensors,
    ):
        kinds = {name: tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
    for name, kind in kinds.items():
        if kind not in FLOATS and name.endswith(("weight", "weight_packed", "_blocks")):
            raise UserError(_quantised(file, f"{name} is {kind}"))
