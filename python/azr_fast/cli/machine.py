"""Facts about this machine, learned without importing anything heavy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path


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


def describe() -> str:
    """Kernel and architecture."""
    return f"{platform.system()} {platform.release()} {platform.machine()}"
