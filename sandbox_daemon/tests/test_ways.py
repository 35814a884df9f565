"""The daemon as root, as a user and in containers: what it says is missing, and what it refuses."""

from __future__ import annotations

import ast
import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from . import confined
from .confined import launcher, possible
from .conftest import PATIENT, Daemon, executable, next_program_is_fine, running

LEVELS = ("seccomp", "namespaces", "full")
NAMESPACES = {"user_ns", "mount_ns", "pid_ns", "net_ns", "ipc_ns", "uts_ns", "root"}
IS_ROOT = os.geteuid() == 0


def landlock_version() -> int:
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


@pytest.fixture(scope="session")
def public(daemon: Daemon) -> bool:
    """Whether a user that is nobody's can read the library of the daemon's Python."""
    library = ast.literal_eval(
        daemon.call("import os\ndef f(): return os.__file__", "")["results"][0]["value"]
    )
    words = [*launcher("user"), "/usr/bin/test", "-r", library]
    return IS_ROOT and subprocess.run(words, check=False).returncode == 0


# Words for confined.py, and the layers that must then be off. A kernel without Landlock has one
# more; a machine without user namespaces has only the ways that need none.
NO_LANDLOCK = set() if landlock_version() > 0 else {"landlock"}
IN_CONTAINER = NAMESPACES | (set() if IS_ROOT else {"user", "capabilities"})
WAYS: dict[str, set[str]] = {
    "no-namespaces": IN_CONTAINER | NO_LANDLOCK,
    "no-namespaces,no-landlock": IN_CONTAINER | {"landlock"},
}
if possible("mapped"):
    WAYS |= {
        "": (set() if IS_ROOT else {"user"}) | NO_LANDLOCK,
        "mapped": {"user"} | NO_LANDLOCK,
        "mapped-root": {"user"} | NO_LANDLOCK,
        "no-user-ns": NAMESPACES | {"user", "capabilities"} | NO_LANDLOCK,
        "no-landlock": (set() if IS_ROOT else {"user"}) | {"landlock"},
    }


def level_without(off: set[str]) -> str:
    if off & (NAMESPACES | {"capabilities"}):
        return "seccomp"
    return "namespaces" if "landlock" in off else "full"


def check(words: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*launcher(words), executable(), "--check", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("words", WAYS)
def test_check_names_what_is_missing(words: str, public: bool) -> None:
    done = check(words)
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert lines.pop() == ["level", level_without(WAYS[words])], done
    off = {
        name: why
        for name, state, why in lines
        if state == "off" and name not in ("cgroup", "rewind")
    }
    # Root becomes another user if that one can read the library, which mounts make sure of.
    stays = {"user"} if "no-namespaces" in words and not public else set()
    assert off.keys() == WAYS[words] | stays
    assert all(off.values())
    assert done.returncode == 0


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("words", WAYS)
def test_require_refuses_less(words: str, level: str) -> None:
    served = LEVELS.index(level_without(WAYS[words])) >= LEVELS.index(level)
    assert check(words, "--require", level).returncode == (0 if served else 2)


@pytest.mark.parametrize("words", WAYS)
def test_programs_run(folder: Path, words: str) -> None:
    """With the deadlines and the limits of memory and output, which need no privilege."""
    options = ("--zygotes", "2", "--timeout", PATIENT)
    with running(f"{folder}/s", *options, launcher=launcher(words)) as daemon:
        assert daemon.first_line.startswith("ready"), daemon.process.communicate()[1]
        next_program_is_fine(daemon)
        endless = "def f():\n  while True: pass"
        assert daemon.call(endless, "", TIMEOUT=300)["verdict"] == "timeout"
        assert daemon.call(endless, "", CPU=100, TIMEOUT=60_000)["verdict"] == "timeout"
        assert daemon.call("def f(): bytearray(1 << 40)", "")["results"][0]["verdict"] == "memory"
        assert daemon.run("while True: print('x' * 9999)", TIMEOUT=60_000)["verdict"] == "output"
        assert daemon.run("import os; os.execv('/bin/true', ['x'])")["syscall"] == "execve"
        next_program_is_fine(daemon)
        assert daemon.stop() == 0


@pytest.mark.parametrize("words", [words for words in WAYS if level_without(WAYS[words]) != "full"])
def test_what_is_missing_is_a_refusal_in_one_line(folder: Path, words: str) -> None:
    with running(f"{folder}/s", "--require", "full", launcher=launcher(words)) as daemon:
        assert daemon.first_line == ""
        assert daemon.process.wait(60) == 2
        assert daemon.process.stderr is not None
        (line,) = daemon.process.stderr.read().splitlines()
    assert any(f"layer {layer} is off (" in line for layer in WAYS[words]), line
    assert "--require full wants it: see --check, or ask for a lower level" in line


@pytest.mark.parametrize("words", ["no-seccomp", "no-namespaces,no-landlock,no-seccomp"])
def test_nothing_runs_without_the_filter(folder: Path, words: str) -> None:
    assert check(words).returncode == 2
    with running(f"{folder}/s", launcher=launcher(words)) as daemon:
        assert daemon.first_line == ""
        assert daemon.process.wait(60) == 2
        assert (
            "layer seccomp is off (the kernel refuses the filter)" in daemon.process.stderr.read()
        )
    assert not (folder / "s").exists()


if IS_ROOT:

    def test_as_another_user(folder: Path, public: bool) -> None:
        """It serves, or says that this user cannot read the Python it was built for."""
        folder.chmod(0o777)
        options = ("--zygotes", "2", "--require", "namespaces")
        with running(f"{folder}/s", *options, launcher=launcher("user")) as daemon:
            assert os.stat(f"/proc/{daemon.process.pid}").st_uid == confined.OTHER_USER
            if public:
                assert daemon.first_line.startswith("ready"), daemon.process.communicate()[1]
                next_program_is_fine(daemon)
                assert daemon.stop() == 0
            else:
                assert daemon.process.wait(60) == 2
                message = daemon.process.stderr.read()
                assert "interpreter: cannot read" in message
                assert "reinstall azr-sandboxd" in message
