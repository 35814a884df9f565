"""What this machine computes with, learned without importing anything heavy."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Literal

CPUINFO = Path("/proc/cpuinfo")
# x86-64: oneDNN multiplies bfloat16 from AVX-512 on. Without it torch falls back to a loop of 1 to
# 9 GFLOP/s on two cores, where float32 has 40 to 65 (AMD Milan). ARM names its instructions bf16.
MULTIPLIES_BFLOAT16 = {"avx512bw", "bf16"}


def gpu_devices() -> list[Path]:
    """NVIDIA devices that this process may see."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    return sorted(Path("/dev").glob("nvidia[0-9]*"))


def gpu_memory_gb() -> float | None:
    """GB (1e9 bytes) of the smallest GPU that this process may see, as the driver's own tool says;
    None where there is none or the tool does not answer."""
    if not gpu_devices():
        return None
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return min(int(line) for line in answer.stdout.split()) * 2**20 / 1e9
    return None


def gpu_usable() -> bool:
    """A GPU is there, and torch, where it is installed, is not its CPU build."""
    try:
        cpu_build = metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        cpu_build = False
    return bool(gpu_devices()) and not cpu_build


def fastest_dtype() -> Literal["bfloat16", "float32"]:
    """bfloat16, or float32 where no GPU can be used and the processor cannot multiply bfloat16."""
    return "bfloat16" if gpu_usable() or MULTIPLIES_BFLOAT16 & _features() else "float32"


def _features() -> set[str]:
    """Instruction sets of the first processor: `flags` on x86-64, `Features` on ARM (proc(5))."""
    for line in CPUINFO.read_text().splitlines():
        name, _, words = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(words.split())
    return set()
