"""Memory of this process and of the machine: what is used, what is free, what is given back."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

from azr_fast.cgroups import groups
from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.policy.footprint import GIB, footprint, read_shape

STATUS = Path("/proc/self/status")
MEMINFO = Path("/proc/meminfo")
# What a control group may hold and holds, and its line of memory.stat for files that it read and
# the kernel drops when memory is short: versions 2 and 1.
LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def memory_use() -> dict[str, float]:
    """GiB that this process holds now and held at most: VmRSS and VmHWM of proc(5). With a GPU in
    use also what torch holds and held there, as gpu_now_gib and gpu_peak_gib."""
    status = _kilobytes(STATUS)
    use = {"peak_gib": status["VmHWM"] / 2**20, "now_gib": status["VmRSS"] / 2**20}
    torch = sys.modules.get("torch")  # where it is not imported, no GPU is in use
    if torch is not None and torch.cuda.is_initialized():
        use["gpu_peak_gib"] = torch.cuda.max_memory_allocated() / GIB
        use["gpu_now_gib"] = torch.cuda.memory_allocated() / GIB
    return use


def free_gib() -> float:
    """GiB that this process may still take without pushing others out: MemAvailable and free swap
    of proc(5), or less in a container."""
    info = _kilobytes(MEMINFO)
    machine = (info["MemAvailable"] + info["SwapFree"]) * 1024
    containers = [left for group in groups("memory") for left in _left(group)]
    return min([machine, *containers]) / GIB


def _left(group: Path) -> Iterator[int]:
    """Bytes that a control group may still take, where it has a limit."""
    for limit, current, dropped in LIMITS:
        file = group / limit
        text = file.read_text().strip() if file.exists() else "max"
        if text.isdigit():  # "max" where there is none
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            held = int((group / current).read_text()) - int(stat.get(dropped, 0))
            yield int(text) - held


def give_back() -> None:
    """Return what malloc keeps of freed memory to the system (malloc_trim(3)), and what torch keeps
    of a GPU's to other allocators, such as an engine's.

    Freed tensors leave holes between those that stay; malloc gives back the top of its heap only.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc's; others keep less
        libc.malloc_trim(0)


def check_memory(config: Config, device: str) -> None:
    """Raise UserError when a run of `config` on the CPU will not fit what is free now.

    Nothing is refused for a model whose shape cannot be told (`read_shape`).
    """
    shape = read_shape(config.model.name)
    if device != "cpu" or shape is None:
        return
    needed, free = footprint(config, shape, device).total(), free_gib()
    if needed > free:
        raise UserError(
            f"training {config.model.name} takes about {needed:.1f} GiB and {free:.1f} GiB are "
            "free: end what else runs, lower update.pack_tokens or rollout.cache_gib, set "
            "update.recompute, or choose a smaller model (azr-fast train --dry-run shows the parts)"
        )


def _kilobytes(file: Path) -> dict[str, int]:
    """The lines `name: number kB` of a file of proc(5)."""
    lines = (line.split() for line in file.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if words[-1] == "kB"}
