"""The control groups that this process is in, whose limits a container sets (cgroups(7))."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def groups(controller: str) -> Iterator[Path]:
    """The folder of each group of this process that `controller` may limit, its own first, and of
    the groups around it; of version 2, and of version 1 where that is mounted."""
    for line in MEMBERSHIP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = ROOT / controllers
        group = root / path.lstrip("/")
        # A container sees the host's path and its own group at the root.
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                yield folder
