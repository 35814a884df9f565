"""A built azr-sandboxd, beside this Python or named by AZR_SANDBOXD, driven by plain redis-py."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from .confined import launcher


def executable() -> str:
    beside = Path(sys.executable).with_name("azr-sandboxd")
    found = os.environ.get("AZR_SANDBOXD") or (beside if beside.exists() else None)
    found = found or shutil.which("azr-sandboxd")
    if found is None:
        pytest.fail(
            "no azr-sandboxd beside this Python, on the PATH or in AZR_SANDBOXD: build it first "
            "(`make test` does, or pip install .)",
            pytrace=False,
        )
    return str(found)


class Daemon:
    """One daemon on a socket of its own."""

    def __init__(
        self,
        path: str,
        *options: str,
        environment: dict[str, str] | None = None,
        launcher: Sequence[str] = (),
    ):
        self.path = path
        self.process = subprocess.Popen(
            [*launcher, executable(), "--socket", path, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            process_group=0,  # as a shell starts it
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()

    def connect(self, protocol: int = 3) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=self.path,
            protocol=protocol,
            decode_responses=True,
            socket_timeout=None,
        )

    def call(self, program: str, *arguments: str, entry: str = "f", **options: Any) -> Any:
        words = [word for name, value in options.items() for word in (name, value)]
        with self.connect() as connection:
            return connection.execute_command(
                "CALL", program, entry, len(arguments), *arguments, *words
            )

    def run(self, script: str, **options: Any) -> Any:
        words = [word for name, value in options.items() for word in (name, value)]
        with self.connect() as connection:
            return connection.execute_command("RUN", script, *words)

    def zygote_pids(self) -> list[int]:
        with self.connect() as connection:
            info = connection.info("zygotes")
        return [int(v["pid"]) for k, v in info.items() if k != "zygotes"]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


@contextlib.contextmanager
def running(path: str, *options: str, **keywords: Any) -> Iterator[Daemon]:
    daemon = Daemon(path, *options, **keywords)
    try:
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.wait()
        assert daemon.process.stdout is not None
        assert daemon.process.stderr is not None
        daemon.process.stdout.close()
        daemon.process.stderr.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's may have 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="azr") as path:
        yield Path(path)


PATIENT = "60000"  # ms: on a busy machine a program that ends may take its time


@pytest.fixture(scope="session")
def daemon() -> Iterator[Daemon]:
    with (
        tempfile.TemporaryDirectory(prefix="azr") as path,
        running(f"{path}/s", "--zygotes", "2", "--timeout", PATIENT) as one,
    ):
        assert one.first_line.startswith("ready"), one.process.communicate()[1]
        yield one


@pytest.fixture(scope="session")
def weakest() -> Iterator[Daemon]:
    """Nothing but the filter and the limits: no namespaces, no Landlock."""
    with (
        tempfile.TemporaryDirectory(prefix="azr") as path,
        running(
            *(f"{path}/s", "--zygotes", "2", "--timeout", PATIENT),
            launcher=launcher("no-namespaces,no-landlock"),
        ) as one,
    ):
        assert one.first_line.startswith("ready"), one.process.communicate()[1]
        yield one


# --- what several tests ask

IDENTITY = "def f(x): return x"


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it comes true within a minute, however busy the machine."""
    for _ in range(1200):
        if condition():
            return True
        time.sleep(0.05)
    return False


def value(daemon: Daemon, argument: str = "1") -> str | None:
    answer = daemon.call(IDENTITY, argument, TIMEOUT=PATIENT)["results"][0]["value"]
    return None if answer is None else str(answer)


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}


def next_program_is_fine(daemon: Daemon) -> None:
    for _ in range(2):  # both zygotes
        reply = daemon.call("def f(x, y): return sorted(x), str(y)", "[3, 1, 2], 1.5")
        assert reply["verdict"] == "ok", reply
        assert reply["results"][0]["value"] == "([1, 2, 3], '1.5')"
        assert reply["stdout"] == reply["stderr"] == ""
