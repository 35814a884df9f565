"""How contestants of the kernel benchmark are compared; one that fails stops no other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import torch
from kernel_cases import Outcome

Row = dict[str, float | str]
Table = dict[str, Row]
Run = Callable[[], Outcome]
OURS = "ours"
IDLE_CYCLES = 2_000_000
OUT_OF_TIME: Row = {"failed": "not run: the time was up"}


class Setting(NamedTuple):
    """Where it is measured, and how long."""

    device: torch.device
    limits: dict[str, float]  # what the device reaches, see kernels_gpu.ceilings
    repeats: int
    end: float  # by time.monotonic(): nothing is begun after it

    def time_is_up(self) -> bool:
        """Nothing more may begin."""
        return time.monotonic() > self.end


def on_device(run: Callable[[], Any], device: torch.device) -> float:
    """Milliseconds of one run."""
    if device.type != "cuda":
        begin = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - begin)
    torch.cuda._sleep(IDLE_CYCLES)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)


def extra_memory(run: Run, device: torch.device) -> Row:
    """On a GPU, the peak in MiB of a run that has nothing left to compile or to set up."""
    if device.type != "cuda":
        return {}
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return {"extra_mib": (torch.cuda.max_memory_allocated() - before) / 2**20}


def failure(reason: Exception) -> Row:
    text = f"{type(reason).__name__}: {reason}"
    return {"failed": text.splitlines()[0][:200]}


def attempt(run: Run, check: Callable[[Outcome], Row], setting: Setting) -> Row:
    """Errors and memory, or why there are none."""
    if setting.time_is_up():
        return OUT_OF_TIME
    try:
        torch.cuda.empty_cache()
        return check(run()) | extra_memory(run, setting.device)
    except Exception as reason:  # a contestant's failure is a result
        return failure(reason)


def compete(
    runs: dict[str, Run], check: Callable[[Outcome], Row], floor_ms: float, setting: Setting
) -> Table:
    table = {name: attempt(run, check, setting) for name, run in runs.items()}
    times: dict[str, list[float]] = {n: [] for n, row in table.items() if "failed" not in row}
    for _, name in product(range(setting.repeats), list(times)):
        if name not in times or setting.time_is_up():
            continue
        try:
            times[name].append(on_device(runs[name], setting.device))
        except Exception as reason:  # as of memory that others' caches hold
            table[name] = failure(reason)
            del times[name]
    for name, samples in times.items():
        table[name] = table[name] | figures(samples, times.get(OURS), floor_ms)
    return table


def figures(samples: list[float], ours: list[float] | None, floor_ms: float) -> Row:
    if not samples:
        return OUT_OF_TIME
    median = statistics.median(samples)
    row: Row = {"ms": median, "floor_share": floor_ms / median}
    return row | {"ratio_to_ours": median / statistics.median(ours)} if ours else row
