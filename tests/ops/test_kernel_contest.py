"""What the GPU benchmark does when something fails or the time is up: it goes on and says so."""

import json
import sys
import time
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import kernels_gpu
from kernel_cases import Outcome, Shape
from kernel_contest import Setting, compete

OUTCOME = Outcome(torch.zeros(1))


def setting(seconds=60.0, repeats=3):
    return Setting(torch.device("cpu"), {}, repeats, time.monotonic() + seconds)


def failing(from_run):
    """Runs out of memory from that run on."""
    runs = 0

    def run():
        nonlocal runs
        runs += 1
        if runs >= from_run:
            raise torch.OutOfMemoryError("no memory\nand more")
        return OUTCOME

    return run


def table_of(runs, given):
    return compete(runs, lambda outcome: {"error": outcome.logp_T.sum().item()}, 1.0, given)


@pytest.mark.parametrize("from_run", [1, 2, 3])
def test_a_contestant_that_fails_in_any_run_is_a_row_with_its_reason(from_run):
    table = table_of({"peer": failing(from_run), "ours": lambda: OUTCOME}, setting())
    assert table["peer"] == {"failed": "OutOfMemoryError: no memory"}
    assert table["ours"].keys() == {"error", "ms", "floor_share", "ratio_to_ours"}


def test_a_table_without_ours_has_no_ratios():
    table = table_of({"ours": failing(2), "peer": lambda: OUTCOME}, setting())
    assert "failed" in table["ours"]
    assert table["peer"].keys() == {"error", "ms", "floor_share"}


def test_when_the_time_is_up_nothing_more_begins():
    runs = []

    def slow():
        runs.append(time.sleep(0.2))
        return OUTCOME

    table = table_of({"ours": slow, "peer": slow}, setting(seconds=0.3, repeats=50))
    assert len(runs) == 2
    assert [row["failed"] for row in table.values()] == ["not run: the time was up"] * 2
    assert not table_of({"ours": slow}, setting(seconds=-1))["ours"].keys() - {"failed"}
    assert len(runs) == 2


def run_main(monkeypatch, tmp_path, *options):
    output = tmp_path / "results.json"
    words = ["kernels_gpu.py", "--reduced", "--repeats", "1", "--output", str(output), *options]
    monkeypatch.setattr(sys, "argv", words)
    kernels_gpu.main()
    return json.loads(output.read_text())["tables"]


def test_inputs_that_do_not_fit_cost_no_other_table(monkeypatch, tmp_path):
    huge = {"huge": Shape(2**50, 3, 1, 1), "tiny": Shape(8, 5, 1, 3)}
    monkeypatch.setattr(kernels_gpu, "REDUCED", huge)
    tables = run_main(monkeypatch, tmp_path)
    for operation in ("linear_policy_loss", "linear_logprob"):
        assert "memory" in tables[f"{operation} huge"]["all"]["failed"]
        assert tables[f"{operation} tiny"]["ours"]["ms"] > 0


def test_without_time_results_are_written_all_the_same(monkeypatch, tmp_path):
    tables = run_main(monkeypatch, tmp_path, "--minutes", "0")
    assert len(tables) == 4
    for table in tables.values():
        assert all("the time was up" in row["failed"] for row in table.values())
