"""`azr-fast export`: the folder is whole or absent, and its card tells where the model came from."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from azr_fast.cli.export import uses
from azr_fast.cli.main import main
from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.evaluate.subject import find_files
from azr_fast.observe.runfolder import RunFolder
from azr_fast.policy.checkpoint import write_checkpoint
from azr_fast.policy.lora import adapted_layers
from azr_fast.policy.models import ModelFiles
from azr_fast.selfplay.policies import open_policies
from azr_fast.types import Role

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "smollm2-135m.jsonl"


def save_model(folder):
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model" / "model.safetensors").write_bytes(b"weights")


@pytest.fixture
def run(tmp_path):
    keys = {"run.dir": str(tmp_path / "my runs"), "run.name": "one", "model.name": str(tmp_path)}
    with RunFolder.create(load_config("cpu", keys)) as run:
        shutil.copy(RESULTS, run.metrics)
        for step in (10, 20):
            write_checkpoint(run.checkpoint(step), save_model)
        write_checkpoint(run.checkpoint(0), lambda folder: None)
        return run.path


def test_the_newest_model_with_its_card(run, tmp_path, capsys):
    target = tmp_path / "a model"
    assert main(["export", str(run), str(target)]) == 0
    assert {path.name for path in target.iterdir()} == {
        *("README.md", "config.json", "model.safetensors")
    }
    card = (target / "README.md").read_text()
    assert card.startswith("---\nlicense: other\n")
    assert "self-play, 20 steps of the game `azr`" in card
    assert "That of the base model" in card
    assert "lr = 4e-05" in card
    assert f'"{tmp_path}' not in card, "no folders of this machine"
    out = capsys.readouterr().out
    assert out.startswith(f"model after step 20: {target}\n")
    for line, words in zip(uses(target).splitlines(), (2, 2, 3), strict=True):
        assert line in out
        assert shlex.split(line, comments=True)[words:] == [str(target)], "it can be typed"


def test_the_folder_that_one_is_in_is_not_replaced(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for typed in (".", "", "../here", str(tmp_path / "here")):
        assert main(["export", str(run), typed]) == 2
        assert capsys.readouterr().err == (
            "azr-fast: error: DIR is the folder that you are in: name another one\n"
        )
    assert main(["export", str(run), "../there"]) == 0
    assert "# there" in (tmp_path / "there" / "README.md").read_text()
    assert "vllm serve ../there" in capsys.readouterr().out


def test_a_card_says_what_happened_and_names_no_folder_of_this_machine(tmp_path):
    keys = {
        "run.dir": str(tmp_path), "run.name": "two", "seeding.file": str(tmp_path / "s.jsonl"),
        "eval.benchmarks": "gsm8k", "eval.data": f"gsm8k={tmp_path}/g.jsonl,{tmp_path}/h.jsonl",
        "sandbox.socket": str(tmp_path / "socket"),
    }  # fmt: skip
    with RunFolder.create(load_config("agent0-cpu", keys)) as run:
        run.metrics.write_text(RESULTS.read_text().splitlines()[0] + "\n")
        write_checkpoint(run.checkpoint(1), save_model)
    assert main(["export", str(run.path), str(tmp_path / "out")]) == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert str(tmp_path) not in card
    assert 'data = ["gsm8k=g.jsonl", "h.jsonl"]' in card
    assert "1 step of the game `agent0`" in card
    assert "2505.03335" not in card  # which is the other game's
    assert "checked by running it" not in card


def test_a_named_step_and_licence(run, tmp_path):
    words = ["--step", "10", "--licence", "apache-2.0"]
    assert main(["export", str(run), str(tmp_path / "ten"), *words]) == 0
    card = (tmp_path / "ten" / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert "10 steps of the game" in card


def test_a_hub_id_is_named_as_the_base(tmp_path):
    keys = {"run.dir": str(tmp_path), "run.name": "one", "model.name": "Qwen/Qwen2.5-Coder-3B"}
    with RunFolder.create(load_config("cpu", keys)) as run:
        run.metrics.write_text(RESULTS.read_text())
        write_checkpoint(run.checkpoint(7), save_model)
    assert main(["export", str(run.path), str(tmp_path / "out")]) == 0
    assert "base_model: Qwen/Qwen2.5-Coder-3B\n" in (tmp_path / "out" / "README.md").read_text()


def test_an_adapter_is_merged_and_lies_beside(tmp_path, tiny_model, capsys):
    """What is written are the weights that the trainer computed with, to the bit."""
    keys = {
        "run.dir": str(tmp_path), "run.name": "one", "model.name": str(tiny_model),
        "model.dtype": "bfloat16", "roles.proposer": "lora", "lora.rank": 4,
    }  # fmt: skip
    config, files = load_config("cpu", keys), ModelFiles(tiny_model, "tiny")
    policy = open_policies(config, files, None)[Role.SOLVER]
    with torch.no_grad():
        for layer in adapted_layers(policy._model).values():
            layer.lora_B.normal_(std=0.1)
    with RunFolder.create(config) as run:
        write_checkpoint(run.checkpoint(3), policy.save)
    target = tmp_path / "out"
    assert main(["export", str(run.path), str(target)]) == 0
    saved = AutoModelForCausalLM.from_pretrained(target, dtype="auto").state_dict()
    for name, weight in policy.named_weights():
        assert torch.equal(saved[name], weight)
    assert (target / "tokenizer.json").read_bytes() == (tiny_model / "tokenizer.json").read_bytes()
    assert sorted(path.name for path in (target / "adapter").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors"
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"holds an adapter and no model: .*export .* DIR --step 3"):
        find_files(str(run.path))
    with pytest.raises(UserError, match="holds an adapter and no model"):
        find_files(str(run.checkpoint(3)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "out"], "nowhere is not a run folder"),
        (["RUN", "full"], "full is there already: name another folder"),
        (["RUN", "file"], "file is there already"),
        (["RUN", "out", "--step", "30"], "has no whole checkpoint of step 30: it has step-10, step-20"),
        (["RUN", "out", "--step", "0"], "has no whole checkpoint of step 0"),
        (["RUN", "out", "--licence", "mit\ntags: [x]"], "is no SPDX name"),
        (["RUN", "out", "--step", "ten"], "invalid int value: 'ten'"),
        (["RUN", "file/out"], "cannot write file/out: Not a directory"),
        (["RUN"], "required: DIR"),
    ],
)  # fmt: skip
def test_bad_input(run, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full" / "x").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(["export", *(str(run) if word == "RUN" else word for word in words)]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_damaged_checkpoint_is_not_exported(run, tmp_path, capsys):
    (run / "checkpoints" / "step-20" / "model" / "model.safetensors").write_bytes(b"")
    assert main(["export", str(run), str(tmp_path / "out"), "--step", "20"]) == 2
    assert "no whole checkpoint of step 20" in capsys.readouterr().err
    assert main(["export", str(run), str(tmp_path / "out")]) == 0
    assert "10 steps of the game" in (tmp_path / "out" / "README.md").read_text()


def test_a_run_without_a_model_says_so(tmp_path, capsys):
    keys = {"run.dir": str(tmp_path), "run.name": "one"}
    with RunFolder.create(load_config("cpu", keys)) as run:
        run.metrics.write_text(json.dumps({"step": 1}) + "\n")
    assert main(["export", str(run.path), str(tmp_path / "out")]) == 2
    assert "no checkpoint with a model: it has none yet: let it train on" in capsys.readouterr().err
