"""Facts about this machine, learned without importing anything heavy."""

from __future__ import annotations

import importlib.metadata
import platform


def version(*packages: str) -> str | None:
    """`name version` of the first of these distributions that is installed."""
    for package in packages:
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def describe() -> str:
    """Kernel and architecture."""
    return f"{platform.system()} {platform.release()} {platform.machine()}"
