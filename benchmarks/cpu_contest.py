"""Contestants on a CPU, timed in turns: what the benchmarks of one operation each share."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from azr_fast import _kernels

Runs = Mapping[str, Callable[[], object]]
Times = dict[str, dict[str, float]]


class Shape(NamedTuple):
    """Of a benchmark's head."""

    tokens: int
    width: int
    vocabulary: int


MODELS = {"SmolLM2-135M": Shape(2048, 576, 49152), "Qwen2.5-0.5B": Shape(1024, 896, 151936)}


def measure(runs: Runs, repeats: int) -> Times:
    """Medians of interleaved runs: wall-clock seconds, and CPU seconds, which other work on the
    machine disturbs less."""
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            begin_wall, begin_cpu = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - begin_wall)
            cpu[name].append(time.process_time() - begin_cpu)
    return {
        name: {"wall_s": statistics.median(wall[name]), "cpu_s": statistics.median(cpu[name])}
        for name in runs
    }


def contest(runs: Runs, repeats: int) -> Times:
    """`measure` after a run that does not count, with ratios to the first of `runs`."""
    measure(runs, 1)
    times = measure(runs, repeats)
    ours = dict(next(iter(times.values())))
    for row in times.values():
        row["wall_ratio"] = row["wall_s"] / ours["wall_s"]
        row["cpu_ratio"] = row["cpu_s"] / ours["cpu_s"]
    return times


def print_table(title: str, times: Times) -> None:
    print(title)
    for name, row in times.items():
        figures = "  ".join(f"{key} {value:9.4g}" for key, value in row.items())
        print(f"  {name:36s} {figures}", flush=True)


def about(repeats: int) -> dict[str, Any]:
    return {
        "repeats": repeats,
        "threads": torch.get_num_threads(),
        "isa": _kernels.isa(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def options(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--tokens", type=int, help="in place of each model's own number")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    return parser


def write(output: Path | None, results: dict[str, Any]) -> None:
    if output:
        output.write_text(json.dumps(results, indent=1) + "\n")
