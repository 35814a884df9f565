"""The GPU benchmark runs end to end without a GPU, so that a session with one only has to start it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "benchmarks" / "kernels_gpu.py"
PEERS = {"trl": "TRL 1.16", "liger_kernel": "Liger 0.8.5", "cut_cross_entropy": "cut-cross-entropy"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    output = tmp_path_factory.mktemp("results") / "reduced.json"
    command = [sys.executable, SCRIPT, "--reduced", "--repeats", "1", "--output", output]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(output.read_text()), done.stdout


def test_the_tests_for_a_gpu_need_neither_a_build_nor_hypothesis(tmp_path):
    """A bare tree, torch, triton and pytest are enough; where there is no GPU they skip."""
    for package in Path(torch.__file__).parents[1].iterdir():
        if not package.name.lstrip("_").startswith(("azr_fast", "hypothesis")):
            (tmp_path / package.name).symlink_to(package)
    done = subprocess.run(
        [
            sys.executable,
            "-S",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            HERE / "test_gpu.py",
        ],
        env=os.environ | {"PYTHONPATH": f"{HERE.parents[1] / 'python'}:{tmp_path}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert torch.cuda.is_available() or "no GPU on this machine" in done.stdout


def test_every_operation_has_its_table(results):
    tables, printed = results[0]["tables"], results[1]
    assert [name.split()[0] for name in tables] == [
        "group_advantage",
        "selective_logprob",
        "linear_policy_loss",
        "linear_logprob",
    ]
    assert all(name in printed for name in tables)
    assert results[0]["device"] == "cpu, reduced"
    assert printed.index("TFLOP/s") < min(map(printed.index, tables))  # ceilings come first


def test_ours_and_plain_torch_are_measured_and_right(results):
    for table in results[0]["tables"].values():
        for contestant in ("ours", "plain torch"):
            row = table[contestant]
            assert row["ms"] > 0
            assert row["ratio_to_ours"] > 0
            found = [value for key, value in row.items() if key.startswith("error")]
            assert found
            assert max(found) < 0.06  # few tokens of bf16 products on a CPU


def test_what_cannot_run_says_why(results):
    tables = results[0]["tables"]
    policy, forward = tables["linear_policy_loss reduced"], tables["linear_logprob reduced"]
    assert "triton does not work on cpu" in forward["ours, kernel alone"]["failed"]
    for package, contestant in PEERS.items():
        for table in (policy, forward):
            assert (
                table[contestant]["failed"] == f"ModuleNotFoundError: No module named '{package}'"
            )
    assert "No module named 'verl'" in policy["verl 0.9.1"]["failed"]
    assert all(
        ("failed" in row) != ("ms" in row) for table in tables.values() for row in table.values()
    )
