"""The benchmarks of a step and the script for a day with a GPU run end to end on a CPU, with toys."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command, **environment):
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHON": sys.executable} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_attention_contest_agrees_with_its_oracle(tmp_path):
    output = tmp_path / "attention.json"
    script = ROOT / "benchmarks" / "attention_contest.py"
    done = run(sys.executable, script, "--reduced", "--device", "cpu", "--output", output)
    assert done.returncode == 0, done.stderr
    table = json.loads(output.read_text())["135M"]
    assert {"products of tiles", "dense mask"} <= table.keys()
    for row in table.values():
        assert row["forward_s"] > 0
        assert max(row["errors"].values()) < 0.02


@pytest.mark.slow
def test_the_updates_of_a_random_model_are_counted(tmp_path):
    output = tmp_path / "updates.json"
    script = ROOT / "benchmarks" / "step_updates.py"
    words = ("--reduced", "--device", "cpu", "--scratch", tmp_path, "--output", output)
    done = run(sys.executable, script, *words)
    assert done.returncode == 0, done.stderr
    row = json.loads(output.read_text())["tiny auto"]
    assert row["attention"] == "products of tiles"
    assert row["seconds"] > 0
    assert row["tokens_trained"] < row["tokens_computed"]
    assert 0 < row["mfu_of_flop_per_s"] < 1


@pytest.mark.engine
def test_a_step_is_measured_beside_the_reference_and_says_what_is_missing(tmp_path):
    output = tmp_path / "step.json"
    script = ROOT / "benchmarks" / "step.py"
    done = run(sys.executable, script, "--reduced", "--device", "cpu", "--output", output)
    assert done.returncode == 0, done.stderr
    results = json.loads(output.read_text())
    for name in ("ours", "reference"):
        side = results[name]
        assert side["steps"] == 1
        assert side["tokens"]["sampled"] > 0
        assert 0 <= side["engine_idle"] < 1
        assert side["mbu_decoding"] > 0
        assert side["peak_gib"] > 0
    assert "old_logprobs" in results["reference"]["seconds"]
    assert "ast_distances" in results["reference"]["seconds"]
    trl = results["trl"]
    assert "trl is not installed" in trl.get("skipped", "") or trl["trained_tokens_per_s"] > 0


@pytest.mark.slow
@pytest.mark.engine
def test_the_script_for_a_day_with_a_gpu_runs_on_a_cpu(tmp_path):
    done = run(ROOT / "benchmarks" / "gpu_day.sh", "--reduced", tmp_path)
    summary = (tmp_path / "summary.txt").read_text()
    logs = {log.name: log.read_text()[-2000:] for log in tmp_path.glob("*.log")}
    assert done.returncode == 0, (summary, logs)
    for part in ("tests", "attention", "updates_135M"):
        assert f"{part}: exit 0" in summary
    assert "step" in summary
    assert (tmp_path / "attention.json").exists()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2**20


def test_the_script_goes_on_after_a_part_that_fails(tmp_path):
    """With a Python that has nothing: every part is named with its exit status."""
    done = run(ROOT / "benchmarks" / "gpu_day.sh", "--reduced", tmp_path, PYTHON="/bin/false")
    assert done.returncode == 1
    summary = (tmp_path / "summary.txt").read_text()
    for part in ("tests", "attention", "updates_135M"):
        assert f"{part}: exit 1" in summary
    assert "step: left out" in summary
