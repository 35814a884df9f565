"""How many OpenMP threads compute, and how long they wait for each other awake.

torch, oneDNN, vLLM's CPU kernels and ours share one OpenMP runtime. It reads the environment once,
when torch loads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from azr_fast.cgroups import groups

# Turns of a loop around one `pause` instruction (10 to 140 cycles by processor). The
# default of libgomp is 300,000, longer than the turn that Linux gives a thread: beside another
# process the thread that has done its part then spins its core's time away, and the one that it
# waits for cannot move there. With none, each short wait of a quiet machine costs a wake-up. The
# number was chosen on a noisy machine: benchmarks/busy_neighbour.py is to confirm it on a quiet
# one.
SPINS = "3000"


def set_environment() -> None:
    """Choose what the OpenMP runtime will read, unless the user has. Call it before torch loads."""
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS  # the GCC manual, "libgomp: GOMP_SPINCOUNT"
    if not {"OMP_NUM_THREADS", "MKL_NUM_THREADS"} & os.environ.keys():
        cores = usable_cores()
        if cores < len(os.sched_getaffinity(0)):  # which torch counts, but not the quota
            os.environ["OMP_NUM_THREADS"] = str(cores)


def usable_cores() -> int:
    """Cores that this process may keep busy: its affinity, or less where a container has a quota
    (whole cores of it, at least one)."""
    quotas = [cores for group in groups("cpu") for cores in _quota(group)]
    return max(1, int(min([len(os.sched_getaffinity(0)), *quotas])))


def _quota(group: Path) -> Iterator[float]:
    """Cores that one group allows: `cpu.max` of version 2, two files of version 1."""
    if (group / "cpu.max").exists():
        quota, period = (group / "cpu.max").read_text().split()
    elif (group / "cpu.cfs_quota_us").exists():
        quota, period = (
            (group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")
        )
    else:
        return
    if quota not in ("max", "-1"):
        yield int(quota) / int(period)
