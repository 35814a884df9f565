"""A daemon to measure or to hurt: started, asked what it has, counted through /proc."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def connect(path: str) -> redis.Redis:
    """A client that tells of a broken connection, rather than send everything again."""
    return redis.Redis(
        unix_socket_path=path,
        protocol=3,
        decode_responses=True,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
    )


class Daemon:
    """One azr-sandboxd on a socket of its own."""

    def __init__(self, executable: str, path: str, *options: str):
        self.path = path
        self.process = subprocess.Popen(
            [executable, "--socket", path, *options], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("ready"):
            raise SystemExit(f"{executable} did not start: what it says is above")

    @property
    def pid(self) -> int:
        return self.process.pid

    def connect(self) -> redis.Redis:
        return connect(self.path)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


def zygotes(client: redis.Redis) -> list[dict[str, object]]:
    """Of each: pid, state, programs, restarts."""
    return [one for one in client.info("zygotes").values() if isinstance(one, dict)]


@dataclasses.dataclass
class Figures:
    """What a daemon holds of its machine."""

    broker_descriptors: int
    broker_rss_kib: int
    zygote_descriptors: int
    zygote_rss_kib: int
    processes: int
    zygote_restarts: int

    @classmethod
    def of(cls, daemon: Daemon) -> Figures:
        """With one client, the one that asks; waits for the others to be gone."""
        with daemon.connect() as client:
            while client.info("clients")["connected_clients"] > 1:
                time.sleep(0.01)
            found = zygotes(client)
            pids = [int(str(zygote["pid"])) for zygote in found]
            return cls(
                broker_descriptors=descriptors(daemon.pid),
                broker_rss_kib=rss_kib(daemon.pid),
                zygote_descriptors=sum(map(descriptors, pids)),
                zygote_rss_kib=sum(map(rss_kib, pids)),
                processes=len(family(daemon.pid)),
                zygote_restarts=sum(int(str(zygote["restarts"])) for zygote in found),
            )


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def rss_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().split("\n")
    return int(next(line for line in status if line.startswith("VmRSS:")).split()[1])


def parents() -> dict[int, int]:
    """The parent of every process there is; those that end meanwhile are left out."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            found[int(entry.name)] = int(fields[1])
    return found


def family(pid: int) -> set[int]:
    """A process and all that descend from it."""
    parent_of = parents()
    members = {pid}
    while more := {p for p, parent in parent_of.items() if parent in members} - members:
        members |= more
    return members


def table(rows: list[list[object]]) -> str:
    """Aligned columns: the first to the left, the others to the right."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in texts
    ]
    return "\n".join(line.rstrip() for line in lines)
