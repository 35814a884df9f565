"""Whatever is wrong with a model's files is one line, from its folder to its first forward pass."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import make_model
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from azr_fast.cli.main import main
from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.errors import UserError
from azr_fast.policy.models import resolve_model
from azr_fast.policy.policy import Policy
from azr_fast.rollout.load import load_renderer

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 98362432\n"
CHATML = (
    "{% for m in messages %}{{'<|im_start|>'+m['role']+'\n'+m['content']+'<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)


def write_tokenizer(folder: Path) -> int:
    """Byte-level BPE with a ChatML template; returns how many ids it has."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=280, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(["def f(x):\n    return x\n"] * 8, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = CHATML
    fast.save_pretrained(folder)
    return len(fast)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    make_model("llama", vocab_size=write_tokenizer(folder)).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def start(name: str) -> None:
    """What a run does with a model before its folder is made, and its first forward passes."""
    files = resolve_model(name)
    load_renderer(files)
    Policy(files, ModelConfig(device="cpu"), UpdateConfig(), 1.0)


def refusal(name: str | Path) -> str:
    with pytest.raises(UserError) as refused:
        start(str(name))
    said = str(refused.value)
    assert "\n" not in said
    assert len(said) < 700
    assert ": " in said  # then a remedy
    return said


def edit(name: str, **changes: object):
    """Set keys of a JSON file."""

    def change(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(value | changes))

    return change


def write(name: str, content: str | bytes):
    def change(folder: Path) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def cut(name: str):
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def rename(old: str, new: str):
    return lambda folder: (folder / old).rename(folder / new)


def link(name: str):
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("nowhere")

    return change


def make_folder(name: str):
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return change


def quantise(folder: Path) -> None:
    """Weights in bytes, and no word of it in the config."""
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"] = torch.zeros(96, 96, dtype=torch.int8)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_the_whole_model_starts(folder: Path) -> None:
    start(str(folder))


FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "model.safetensors",
)
INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize("name", FILES)
def test_a_git_lfs_pointer_is_named_with_its_command(folder: Path, name: str) -> None:
    write(name, POINTER)(folder)
    said = refusal(folder)
    assert f"{folder / name} is a Git LFS pointer" in said
    assert f"run `git lfs pull` in {folder}" in said


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [cut, lambda n: write(n, ""), link, make_folder])
def test_a_broken_file_is_named(folder: Path, name: str, damage) -> None:
    if name == "chat_template.jinja" and damage is cut:
        pytest.skip("half of a template may be one")
    damage(name)(folder)
    assert str(folder / name) in refusal(folder)


@pytest.mark.parametrize("name", [n for n in FILES if n != "model.safetensors"])
def test_a_file_that_is_not_utf8_is_named(folder: Path, name: str) -> None:
    write(name, "{é}".encode("latin-1"))(folder)
    assert f"{folder / name} is not UTF-8" in refusal(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_may_not_be_read_is_named(folder: Path, name: str) -> None:
    (folder / name).chmod(0)
    assert f"cannot read {folder / name} (Permission denied)" in refusal(folder)


@pytest.mark.parametrize("name", [n for n in FILES if n.endswith(".json")])
@pytest.mark.parametrize("content", ["[]", "null", "nope", '{"a": 1', "[" * 10**5, "\ufeff{}"])
def test_what_is_not_a_json_object_is_named(folder: Path, name: str, content: str) -> None:
    write(name, content)(folder)
    assert re.search(f"{folder / name} is not (JSON|a JSON object)", refusal(folder))


QUANTISED = r"quantised weights \({}\).*choose the same model in bfloat16"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (edit("config.json", quantization_config={"quant_method": "gptq", "bits": 4}), QUANTISED.format("gptq")),
        (edit("config.json", quantization_config={"quant_method": "awq"}), QUANTISED.format("awq")),
        (edit("config.json", quantization_config={"quant_method": "bitsandbytes"}), QUANTISED.format("bitsandbytes")),
        (edit("config.json", quantization_config={"quant_method": "fp8"}), QUANTISED.format("fp8")),
        (edit("config.json", quantization_config={"load_in_4bit": True}), "quantised weights"),
        (edit("config.json", compression_config={"quant_method": "compressed-tensors"}), QUANTISED.format("compressed-tensors")),
        (edit("config.json", text_config={"quantization_config": {"quant_method": "fp8"}}), QUANTISED.format("fp8")),
        (write("quantize_config.json", '{"bits": 4}'), "quantised weights"),
        (quantise, r"quantised weights \(model\.layers\.0\.mlp\.up_proj\.weight is I8\)"),
        (edit("config.json", model_type="llama9"), "model type 'llama9', which transformers 5.* does not know"),
        (edit("config.json", model_type="mine", auto_map={"AutoConfig": "mine.C"}), "code of its own"),
        (edit("config.json", model_type=None), "names no model_type"),
        (edit("config.json", model_type="t5"), "'t5', which is not a causal language model"),
        (edit("config.json", model_type="vit"), "'vit', which is not a causal"),
        (edit("config.json", model_type="clip"), "'clip', which is not a causal"),
        (edit("config.json", model_type="bart", is_encoder_decoder=True), "'bart', which is not a causal"),
        (edit("config.json", hidden_size="wide"), r"cannot read .*config\.json \(.*hidden_size"),
        (edit("config.json", num_attention_heads=0), "config.json"),
        (edit("config.json", hidden_size=48), "another shape than config.json says"),
        (edit("config.json", num_hidden_layers=3), r"no weights for: model\.layers\.2\."),
        (edit("config.json", vocab_size=100), r"ids up to \d+ and a model of 100 ids"),
        (edit("config.json", eos_token_id=10**6), "ends answers by token 1000000"),
        (edit("generation_config.json", eos_token_id=[2, -3]), "ends answers by token -3"),
        (edit("generation_config.json", eos_token_id="end"), "eos_token_id|generation_config"),
        (edit("generation_config.json", max_new_tokens="many"), "generation_config"),
        (edit("tokenizer_config.json", tokenizer_class=7), "cannot load the tokenizer"),
        (edit("tokenizer.json", model={"type": "Newer"}), "cannot load the tokenizer"),
        (write("tokenizer.json", "{}"), "cannot load the tokenizer"),
        (write("special_tokens_map.json", "{"), "special_tokens_map.json is not JSON"),
        (write("added_tokens.json", POINTER), "added_tokens.json is a Git LFS pointer"),
        (write("chat_template.jinja", "{% for m in messages %}"), "the chat template of .* cannot be used"),
        (write("chat_template.jinja", "{{ messages[0]['content'] | nope }}"), "the chat template"),
        (write("chat_template.jinja", "{{ raise_exception('no such role') }}"), r"the chat template.*no such role"),
        (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer"),
        (lambda f: (f / "config.json").unlink(), r"has no config\.json"),
        (lambda f: (f / "model.safetensors").unlink(), r"has no \.safetensors file"),
        (rename("model.safetensors", "pytorch_model.bin"), "weights as pickles"),
        (write(INDEX, "{}"), "not a safetensors index"),
        (write(INDEX, '{"weight_map": []}'), "not a safetensors index"),
        (write(INDEX, '{"weight_map": {"a": 1}}'), "not a safetensors index"),
        (write(INDEX, '{"weight_map": {}}'), "not a safetensors index"),
        (write(INDEX, '{"weight_map": {"a": "../model.safetensors"}}'), "points outside the folder"),
        (write(INDEX, '{"weight_map": {"a": "/etc/passwd"}}'), "points outside the folder"),
        (write(INDEX, '{"weight_map": {"a": "two.safetensors"}}'), r"two\.safetensors is missing"),
        (write("model.safetensors", b"junk" * 99), "truncated or corrupt"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_trained_is_one_line(folder: Path, damage, said: str) -> None:
    damage(folder)
    assert re.search(said, refusal(folder)), refusal(folder)


def test_a_folder_that_is_a_file_is_refused(folder: Path) -> None:
    assert "is not a GGUF file" in refusal(folder / "config.json")
    refusal(folder / "config.json" / "model")


def test_a_link_to_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(tmp_path / "gone")
    assert "which is not there" in refusal(tmp_path / "model")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert "cannot read" in refusal(tmp_path / "circle")


@pytest.mark.parametrize("name", ["", "a" * 300, "~nobody/model", "a/b/c", "bad\x00name"])
def test_odd_names_are_refused(name: str) -> None:
    refusal(name)


def test_the_command_says_it_in_one_line(folder: Path, capsys: pytest.CaptureFixture) -> None:
    write("config.json", POINTER)(folder)
    assert main(["models", "fetch", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("azr-fast: error: ")
    assert said.count("\n") == 1
