"""Facts about this machine, learned without importing anything heavy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from pathlib import Path

# Memory limits of the container that this process is in: cgroup v2, v1.
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def version(*packages: str) -> str | None:
    """`name version` of the first of these distributions that is installed."""
    for package in packages:
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def gpu_devices() -> list[Path]:
    """NVIDIA devices that this process may see."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    return sorted(Path("/dev").glob("nvidia[0-9]*"))


def gpu_usable() -> bool:
    """A GPU is there, and torch, where it is installed, is not its CPU build."""
    torch = version("torch") or ""
    return bool(gpu_devices()) and not torch.endswith("+cpu")


def memory_gib() -> float:
    """Memory that this process may use, GiB: the machine's, or less in a container."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_cgroup_limits()]) / 2**30


def _cgroup_limits() -> Iterator[int]:
    for file in CGROUP_LIMITS:
        text = file.read_text() if file.exists() else ""
        if text.strip().isdigit():  # "max" where there is none
            yield int(text)


def describe() -> str:
    """Kernel and architecture."""
    return f"{platform.system()} {platform.release()} {platform.machine()}"
