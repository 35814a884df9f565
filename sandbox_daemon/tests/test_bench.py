"""Short runs of the soak, of the kills and of a latency, as a person starts the long ones; and what
the figures are named for."""

from __future__ import annotations

import ast
import importlib
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import executable

BENCH = Path(__file__).parent.parent / "bench"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of the benchmarks, by name."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def source(job: Any) -> str:
    return job.words[1]


def nodes(job: Any) -> int:
    return sum(1 for _ in ast.walk(ast.parse(source(job))))


def test_programs_have_the_size_that_the_figures_are_named_for(module: Any) -> None:
    sized_programs = module("sized_programs")
    sized, twice = (
        make(400, seed=1)
        for make in (sized_programs.of_cruxeval_size, sized_programs.of_twice_the_size)
    )
    assert len(set(map(source, sized))) > 250
    assert 38 <= statistics.mean(map(nodes, sized)) <= 44
    assert 116 <= statistics.mean(map(len, map(source, sized))) <= 134
    assert 80 <= statistics.mean(map(nodes, twice)) <= 92


def test_programs_of_the_data_set_are_read(module: Any) -> None:
    row = {"code": "def f(a, b):\n    return {b: a}", "input": "1, 'x'", "output": "{'x':1}"}
    (job,) = module("sized_programs").from_cruxeval([json.dumps(row)])
    assert job.words == ("CALL", row["code"], "f", "1", "1, 'x'")
    assert job.value == "{'x': 1}"


def test_versions_are_compared_by_pairs(module: Any) -> None:
    pairs = [(100, 130), (50, 60), (200, 220), (80, 120), (10, 14)]
    figures = module("versions").summary(pairs)
    assert figures["ratio"] == pytest.approx(1.3)  # of the medians: 1.5
    assert (figures["before"], figures["after"]) == (80, 120)
    assert figures["lower quartile"] < 1.3 < figures["upper quartile"]


def test_each_version_begins_as_often(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    versions, calls = module("versions"), []
    monkeypatch.setattr(versions, "PAUSE", 0)

    def contest(rate: float) -> dict[str, Any]:
        return {name: lambda: calls.append(rate) or rate for name in ("tiny", "numpy")}

    pairs = versions.in_pairs(contest(1.0), contest(2.0), 2)
    assert pairs == {"tiny": [(1.0, 2.0)] * 2, "numpy": [(1.0, 2.0)] * 2}
    assert calls == [1, 2, 1, 2, 2, 1, 2, 1]


def test_percentiles(module: Any) -> None:
    taken = [number / 1000 for number in range(100, -1, -1)]
    assert module("latency").percentiles(taken) == pytest.approx({"p50": 50, "p90": 90, "p99": 99})


def test_latency_beside_an_echo(module: Any, daemon: Any) -> None:
    job = module("load").call("def f(x): return x", "[1, 2]", "[1, 2]")
    found = module("latency").at_half_load(daemon.path, job, rounds=1)
    assert 0 < found["echo"]["median p50"] <= found["echo"]["p99 of all"]
    assert 0 < found["daemon"]["median p50"] <= found["daemon"]["p99 of all"]
    assert found["per_second"]["least"] > 0


def figures(tool: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCH / tool), executable(), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "tier",
    [
        pytest.param((), id="fork", marks=pytest.mark.slow),
        pytest.param(("--rewind", "2", "--paranoid"), id="rewind"),
    ],
)
def test_soak(tier: tuple[str, ...]) -> None:
    found = figures("soak.py", "--programs", "2000", "--seed", "1", *tier)
    assert found["programs"] == 2000
    assert found["hostile"] > 0
    assert found["faults"] == []


@pytest.mark.parametrize("tier", [pytest.param("fork", marks=pytest.mark.slow), "rewind"])
def test_kills(tier: str) -> None:
    words = ("--rewind", "2") if tier == "rewind" else ()
    found = figures("chaos.py", "--kills", "16", "--pause", "0.15", "--seed", "3", *words)
    assert found["kills"] == {"zygote": 9, "client": 5, "broker": 2}
    assert found["right"] > 0
    assert found["faults"] == []
