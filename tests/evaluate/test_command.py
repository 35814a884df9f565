"""`azr-fast eval` from the command line, with a tiny random model."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from azr_fast.cli.main import main
from azr_fast.evaluate import opening
from azr_fast.evaluate.store import Store

from .records import cruxeval

PROBES = ["--benchmarks", "azr-probe-deduction,azr-probe-abduction", "--limit", "4"]
TINY = ["--engine", "transformers", "--dtype", "float32", "--max-new-tokens", "6"]


@pytest.fixture
def model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


@pytest.fixture
def azr_eval(tmp_path, monkeypatch, capfd):
    """Runs `azr-fast eval` in this process; returns its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words):
        code = main(["eval", *map(str, words)])
        shown = capfd.readouterr()
        return code, shown.out, shown.err

    return run


def test_a_model_is_scored_and_asked_only_once(azr_eval, model, monkeypatch):
    code, shown, _ = azr_eval(model, *PROBES, *TINY, "--json", "scores.json")
    assert code == 0
    assert re.search(r"azr-probe-deduction \(direct\) +4 +0\.0% +0\.0-49\.0 .* none", shown)
    (scores,) = json.loads(Path("scores.json").read_text())["models"]
    assert [one["items"] for one in scores["scores"]] == [4, 4]

    def refuse(*_words, **_keys):
        raise AssertionError("the engine was started")

    monkeypatch.setattr(opening, "open_engine", refuse)
    assert azr_eval(model, *PROBES, *TINY)[0] == 0
    with pytest.raises(
        AssertionError, match="the engine was started"
    ):  # another limit, another answer
        azr_eval(model, *PROBES, *TINY[:-1], "7")


def test_two_models_are_compared(azr_eval, model, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    other = shutil.copytree(model, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    save_file(
        {name: torch.roll(w, 1) for name, w in weights.items()},
        other / "model.safetensors",
        {"format": "pt"},
    )
    code, shown, _ = azr_eval(model, *PROBES, *TINY, "--against", other)
    assert code == 0
    assert re.search(r"all together +8 +\+0\.0 ", shown)
    assert (
        len({row.weights for row in Store(tmp_path / "evals" / "azr-probe-deduction").rows()}) == 2
    )


def test_answers_are_judged_again_without_the_model(azr_eval, model):
    azr_eval(model, *PROBES, *TINY)
    shutil.rmtree(model)
    code, shown, _ = azr_eval(model, *PROBES, "--regrade")
    assert code == 0
    assert re.search(r"azr-probe-abduction \(direct\) +4 ", shown)
    code, _, said = azr_eval("another", *PROBES, "--regrade")
    assert code == 2
    assert "no answer of another to azr-probe-deduction (direct) is kept in evals/" in said


def test_saved_answers_to_other_items_are_not_judged(azr_eval, model, lines):
    one, other = (lines([cruxeval(item=item)], f"{item}.jsonl") for item in ("a", "b"))
    asked = ["--benchmarks", "cruxeval-o"]
    assert azr_eval(model, *asked, *TINY, "--data", one)[0] == 0
    code, _, said = azr_eval(model, *asked, "--data", other, "--regrade")
    assert code == 2
    assert "1 answers of" in said
    assert "none is to an item of these records" in said


def test_logs_hold_what_was_asked_and_said(azr_eval, model, tmp_path):
    azr_eval(model, *PROBES, *TINY, "--inspect", "logs")
    logs = [json.loads(path.read_text()) for path in (tmp_path / "logs").iterdir()]
    logs.sort(key=lambda log: log["eval"]["task"])
    assert [log["eval"]["task"] for log in logs] == [
        "azr-probe-abduction (direct)",
        "azr-probe-deduction (direct)",
    ]
    sample = logs[1]["samples"][0]
    assert "assert f(" in sample["input"]
    assert sample["messages"][1]["content"].startswith("<answer>assert f(")
    assert sample["scores"]["azr-probe-deduction"]["value"] == "I"


def test_what_cannot_be_written_at_the_end_loses_no_answer(azr_eval, model, tmp_path):
    long = tmp_path / ("x" * 250 + ".json")  # its hidden partial file has too long a name
    code, _, said = azr_eval(model, *PROBES, *TINY, "--json", long)
    assert (code, said.count("\n")) == (2, 1)
    assert "File name too long; the answers are kept in evals, and the same command" in said
    assert len(Store(tmp_path / "evals" / "azr-probe-deduction").rows()) == 4


@pytest.mark.parametrize("kind", ["run", "checkpoint"])
def test_a_run_stands_for_its_newest_checkpoint(azr_eval, model, tmp_path, kind):
    from azr_fast.config.load import load_config
    from azr_fast.observe.runfolder import RunFolder
    from azr_fast.policy.checkpoint import write_checkpoint

    config = load_config("cpu", {"run.dir": str(tmp_path), "run.name": "run"})
    run = RunFolder.create(config)
    run.close()
    for step in (2, 10):
        write_checkpoint(
            run.checkpoint(step), lambda folder: shutil.copytree(model, folder / "model")
        )
    target = run.path if kind == "run" else run.checkpoint(2)
    code, shown, _ = azr_eval(target, *PROBES, *TINY)
    assert code == 0
    assert f"step-{10 if kind == 'run' else 2}/model" in shown
    os.truncate(run.checkpoint(2) / "model" / "model.safetensors", 10)
    assert "is damaged or holds no model" in azr_eval(run.checkpoint(2), *PROBES)[2]
    (run.path / "run.json").write_text('{"format": 99}')
    for place in (run.path, run.checkpoint(10)):
        code, _, said = azr_eval(place, *PROBES)
        assert (code, "has format 99, this azr-fast reads format" in said) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to evaluate: name a model, a run or a checkpoint"),
        (["m", "--benchmarks", "chess"], "no benchmark 'chess' is installed"),
        (["m", "--benchmarks", ","], "--benchmarks names none"),
        (["m", "--form", "loud"], "cruxeval-i has no form 'loud'"),
        (["m", "--k", "2"], "pass@2 needs as many samples of an item: --samples 2"),
        (["m", "--k", "one"], "--k 'one': give numbers from 1"),
        (["m", "--samples", "0"], "'0' is no number from 1"),
        (["m", "--samples", "2", "--temperature", "0"], "greedy answers are all the same"),
        (["m", "--temperature", "-1"], "temperature is -1.0"),
        (["m", "--cache-gib", "nan"], "--cache-gib nan: input should be a finite number"),
        (["m", "--cache-gib", "0"], "--cache-gib 0.0: input should be greater than 0"),
        (["m", "--json", "none/x.json"], "--json none/x.json: give a file in a folder that is there"),
        (["m", "--json", "."], "--json .: give a file in a folder that is there"),
        (["m", "--inspect", "model/config.json"], "--inspect model/config.json is a file"),
        (["m", "--data", "a", "--data", "b"], "two files are given for all benchmarks"),
        (["no/such/run", *PROBES], "there is no run, checkpoint or model at"),
        (["model", *PROBES, "--max-new-tokens", "4000", *TINY[:4]], "leave no room for prompts"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(azr_eval, model, words, said):
    code, _, error = azr_eval(*words)
    assert code == 2
    assert said in error
    assert error.count("\n") == 1


def test_a_damaged_store_is_named(azr_eval, model, tmp_path):
    azr_eval(model, *PROBES, *TINY)
    (file,) = (tmp_path / "evals" / "azr-probe-deduction").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    code, _, said = azr_eval(model, *PROBES, *TINY)
    assert code == 2
    assert f"evals/azr-probe-deduction/{file.name} is damaged" in said


def test_ctrl_c_keeps_what_is_done(model, tmp_path):
    words = [
        str(model),
        "--benchmarks",
        "azr-probe-deduction",
        *TINY[:4],
        "--max-new-tokens",
        "200",
        "--concurrency",
        "1",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "azr_fast.cli", "eval", *words, "--limit", "200"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    for line in process.stdout:
        if "azr-probe-deduction (direct): answers" in line:
            break
    store = tmp_path / "evals" / "azr-probe-deduction"
    deadline = time.monotonic() + 300
    while not store.exists() and time.monotonic() < deadline:  # the first rows are on the disk
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    shown, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (130, "")
    assert "what was answered is kept in evals, and the same command goes on from it" in shown
    assert 0 < len(Store(store).rows()) < 200
