"""What the layers of isolation keep away, and that none is lost without a word."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .confined import launcher
from .conftest import (
    Daemon,
    eventually,
    executable,
    next_program_is_fine,
    running,
    status_of,
)


def level(daemon: Daemon) -> str:
    with daemon.connect() as client:
        return str(client.info("security")["level"])


def test_zygotes_hold_nothing(daemon: Daemon) -> None:
    for pid in daemon.zygote_pids():
        status = status_of(pid)
        sets = {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
        assert sets == {"0000000000000000"}
        if level(daemon) != "seccomp":
            assert status["CapBnd"] == "0000000000000000"
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"


def test_zygotes_cannot_be_looked_into(daemon: Daemon) -> None:
    """Not dumpable: /proc gives such a process to root, and no handler outside gets its memory."""
    owner = daemon.zygote_pids()[0]
    assert os.stat(f"/proc/{owner}/mem").st_uid == 0
    reply = daemon.call("import os\ndef f(): os.abort()", "")
    assert reply["signal"] == signal.SIGABRT


READ_LINK = """
import ctypes, os, sys
with open(f"/proc/{sys.argv[1]}/ns/user") as namespace:
    if ctypes.CDLL(None).setns(namespace.fileno(), 0x10000000) != 0: sys.exit(9)
os.execv("/bin/readlink", ["readlink", f"/proc/{sys.argv[2]}/exe"])
"""


def test_nobody_of_the_same_user_looks_into_a_zygote(folder: Path) -> None:
    """Asked by a process that has the daemon's user, namespace and (no) capabilities."""
    options = ("--zygotes", "1")
    with running(f"{folder}/s", *options, launcher=launcher("mapped,no-namespaces")) as daemon:
        assert daemon.first_line, daemon.process.communicate()[1]

        def program_of(pid: int) -> str:
            words = [sys.executable, "-c", READ_LINK, str(daemon.process.pid), str(pid)]
            return subprocess.run(words, capture_output=True, text=True, check=False).stdout

        assert program_of(daemon.process.pid).strip().endswith("azr-sandboxd")
        assert program_of(*daemon.zygote_pids()) == ""


def test_calls_that_reach_the_disk_do_nothing(daemon: Daemon) -> None:
    program = (
        "import os, fcntl\n"
        "def f():\n"
        "  fd = os.open(os.__file__, os.O_RDONLY)\n"
        "  os.fsync(fd); os.fdatasync(fd); os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)\n"
        "  os.fsync(999)\n"  # pretended, so not even looked at
        "  try: fcntl.flock(fd, fcntl.LOCK_EX)\n"
        "  except OSError as error: return error.errno\n"
    )
    assert daemon.call(program, "")["results"][0]["value"] == "38"


def test_no_installed_packages(daemon: Daemon) -> None:
    program = (
        "import os\n"
        "def f():\n"
        "  found = []\n"
        "  own = os.path.dirname(os.__file__)\n"
        "  for top in (own, '/usr/lib', '/usr/lib/python3', '/lib/python3'):\n"
        "    for name in ('site-packages', 'dist-packages'):\n"
        "      try: found += os.listdir(f'{top}/{name}')\n"
        "      except FileNotFoundError: pass\n"
        "  return found, 'json' in os.listdir(os.path.dirname(os.__file__))"
    )
    found = daemon.call(program, "")["results"][0]["value"]
    # Landlock cannot except a folder below an allowed one.
    assert found == "([], True)" or level(daemon) == "seccomp"


def checked(*options: str) -> dict[str, list[str]]:
    command = [executable(), "--check", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return {line.split()[0]: line.split(maxsplit=2)[1:] for line in done.stdout.splitlines()}


def test_check_tells_about_cgroups() -> None:
    assert checked()["cgroup"] == ["off", "bounds jails; there are none"]
    state, why = checked("--jail", "1")["cgroup"]
    assert (state, "of each jail" in why) in (("on", True), ("off", False)), why
    assert checked()["oom_score"][0] == "on"


# --- a daemon without privileges, and zygotes that come back weaker


@pytest.fixture
def unprivileged(folder: Path) -> Iterator[Callable[..., Daemon]]:
    """Starts daemons in a user namespace of their own, as a user without any capability."""
    with contextlib.ExitStack() as stack:

        def start(*options: str) -> Daemon:
            words = ("--zygotes", "1", *options)
            daemon = running(f"{folder}/s", *words, launcher=launcher("mapped"))
            return stack.enter_context(daemon)

        yield start


def test_without_privileges(unprivileged: Callable[..., Daemon]) -> None:
    daemon = unprivileged("--require", "namespaces")
    assert daemon.first_line, daemon.process.communicate()[1]
    next_program_is_fine(daemon)
    (zygote,) = daemon.zygote_pids()
    assert status_of(zygote)["CapBnd"] == "0000000000000000"
    assert daemon.call("def f():\n  while True: pass", "", TIMEOUT=300)["verdict"] == "timeout"
    assert daemon.call("def f():\n  while True: pass", "", CPU=100)["verdict"] == "timeout"
    assert daemon.stop() == 0


SET_NAMESPACES = """
import ctypes, sys
target, most = sys.argv[1:]
with open(f"/proc/{target}/ns/user") as namespace:
    if ctypes.CDLL(None).setns(namespace.fileno(), 0x10000000) != 0: sys.exit(1)
open("/proc/sys/user/max_net_namespaces", "w").write(most)
"""


def set_namespaces(daemon: Daemon, most: int) -> None:
    """Sets how many network namespaces the daemon's own user namespace may have."""
    words = [sys.executable, "-c", SET_NAMESPACES, str(daemon.process.pid), str(most)]
    subprocess.run(words, check=True)


def test_a_weaker_zygote_is_not_used(unprivileged: Callable[..., Daemon]) -> None:
    daemon = unprivileged("--require", "namespaces")
    set_namespaces(daemon, 0)
    os.kill(daemon.zygote_pids()[0], signal.SIGKILL)
    assert daemon.process.stderr is not None
    assert "layer user_ns is off" in daemon.process.stderr.readline()
    with daemon.connect() as client:
        assert "state=idle" not in str(client.info("zygotes"))
    set_namespaces(daemon, 1000)
    next_program_is_fine(daemon)
    assert level(daemon) != "seccomp"


def test_a_weaker_zygote_is_told_about(unprivileged: Callable[..., Daemon]) -> None:
    daemon = unprivileged("--require", "seccomp")
    set_namespaces(daemon, 0)
    assert level(daemon) != "seccomp"
    os.kill(daemon.zygote_pids()[0], signal.SIGKILL)
    assert eventually(lambda: level(daemon) == "seccomp")
    next_program_is_fine(daemon)
    assert daemon.process.stderr is not None
    assert "isolation is seccomp only" in daemon.process.stderr.readline()
