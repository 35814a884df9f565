"""Whatever ends the trainer ends the daemon; what keeps it from starting is said in one line."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest

from azr_fast.config.schema import SandboxConfig
from azr_fast.errors import UserError
from azr_fast.sandbox import client as client_module
from azr_fast.sandbox import launcher
from azr_fast.sandbox.client import Client, SandboxLost
from azr_fast.sandbox.launcher import Sandbox, find_daemon, open_sandbox
from azr_fast.sandbox.messages import Limits
from azr_fast.threads import usable_cores

LIMITS = Limits(timeout_ms=2000, memory_bytes=256 << 20, output_bytes=1 << 16)
FOREVER = "def f():\n    while True: pass"


def wait_until(condition, seconds=30):
    """Poll; the bound is only there so that a failure ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def processes():
    """pid -> parent's pid of every process that is not a zombie."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(folder.name)] = int(parent)
    return found


def with_descendants(pids):
    tree = processes()
    family = set(pids) & tree.keys()
    while more := {pid for pid, parent in tree.items() if parent in family} - family:
        family |= more
    return family


def mentioning(text):
    """The processes that have `text` on their command line, as a daemon has its socket."""
    found = set()
    for pid in processes().keys() - {os.getpid()}:
        try:
            if str(text).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def family(path):
    """The daemon that listens at `path`, its zygotes and their children."""
    return with_descendants(mentioning(path))


def gone(pids):
    return lambda: not pids & processes().keys()


@pytest.fixture
def temp_folder(monkeypatch):
    """A folder for temporary files, with a short name because sockets go there; checked to be empty."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Makes $AZR_SANDBOXD a shell script: a daemon that is broken in some way."""

    def make(text):
        path = tmp_path / "broken-daemon"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setenv("AZR_SANDBOXD", str(path))

    return make


# --- finding it -----------------------------------------------------------------------------------


def executable(folder):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "azr-sandboxd"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_daemon_is_named_or_beside_python_or_on_the_path(tmp_path, monkeypatch):
    named, beside, on_path = (executable(tmp_path / name) for name in ("named", "beside", "path"))
    monkeypatch.setattr(sys, "executable", str(beside.with_name("python")))
    monkeypatch.setenv("PATH", str(on_path.parent))
    monkeypatch.setenv("AZR_SANDBOXD", str(named))
    assert find_daemon() == str(named)
    monkeypatch.delenv("AZR_SANDBOXD")
    assert find_daemon() == str(beside)
    beside.unlink()
    assert find_daemon() == str(on_path)
    on_path.unlink()
    with pytest.raises(UserError, match=r"neither beside .* nor on the PATH: install azr-fast"):
        find_daemon()


def test_a_named_daemon_must_be_executable(tmp_path, monkeypatch):
    monkeypatch.setenv("AZR_SANDBOXD", str(tmp_path / "absent"))
    with pytest.raises(UserError, match=r"AZR_SANDBOXD names .*absent, which is not an executable"):
        find_daemon()
    monkeypatch.setenv("AZR_SANDBOXD", str(tmp_path))
    with pytest.raises(UserError, match=r"not an executable file: name azr-sandboxd, or unset it"):
        find_daemon()


# --- not starting -----------------------------------------------------------------------------------


def test_the_daemons_own_words_are_quoted(temp_folder, script):
    script("echo 'warming up' >&2; echo 'layer seccomp is off: enable CONFIG_SECCOMP' >&2; exit 2")
    with (
        pytest.raises(
            UserError, match=r"did not start \(exit code 2\): layer seccomp is off"
        ) as caught,
        Sandbox(),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert list(temp_folder.iterdir()) == []


def test_a_file_that_the_system_cannot_run(temp_folder, tmp_path, monkeypatch):
    daemon = executable(tmp_path)
    daemon.write_bytes(b"\x7fELF of no machine")
    monkeypatch.setenv("AZR_SANDBOXD", str(daemon))
    with pytest.raises(UserError, match=r"Exec format error; install azr-fast again"), Sandbox():
        pass
    assert list(temp_folder.iterdir()) == []


def test_a_daemon_that_says_nothing(temp_folder, script):
    script("exit 0")
    with (
        pytest.raises(UserError, match=r"did not start \(exit code 0\): it said nothing"),
        Sandbox(),
    ):
        pass
    assert list(temp_folder.iterdir()) == []


def test_a_daemon_that_is_never_ready_is_stopped(temp_folder, script, monkeypatch):
    script("echo thinking >&2; while :; do sleep 0.1; done")
    monkeypatch.setattr(launcher, "_READY_SECONDS", 0.5)
    with pytest.raises(UserError, match=r"was not ready after .*: thinking"), Sandbox():
        pass
    assert mentioning(temp_folder) == set()
    assert list(temp_folder.iterdir()) == []


def test_a_daemon_deaf_to_sigterm_is_killed(temp_folder, script, monkeypatch):
    script("trap '' TERM; echo ready $2; while :; do sleep 0.1; done")
    monkeypatch.setattr(launcher, "_STOP_SECONDS", 0.3)
    with Sandbox() as sandbox:
        assert mentioning(sandbox.path)
    assert mentioning(temp_folder) == set()
    assert list(temp_folder.iterdir()) == []


def test_another_program_is_not_taken_for_the_daemon(temp_folder, script):
    script("echo hello")
    with pytest.raises(UserError, match=r"is no azr-sandboxd: it said b'hello"), Sandbox():
        pass
    assert list(temp_folder.iterdir()) == []


def test_the_real_daemon_says_why_it_does_not_start(temp_folder):
    with (
        pytest.raises(UserError, match=r"did not start \(exit code 2\): .*everything"),
        Sandbox(require="everything"),
    ):
        pass
    assert list(temp_folder.iterdir()) == []


def test_a_long_socket_path_is_refused(monkeypatch, tmp_path):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with (
        pytest.raises(UserError, match=r"socket path of \d+ bytes is too long .*TMPDIR"),
        Sandbox(),
    ):
        pass
    assert list(folder.iterdir()) == []
    with (
        pytest.raises(UserError, match=r"choose a shorter one for the socket"),
        open_sandbox(SandboxConfig(socket="/" + "s" * 107)),
    ):
        pass


@pytest.mark.parametrize("kind", ["absent", "plain file", "dead socket"])
def test_a_configured_socket_where_nobody_answers(temp_folder, kind):
    path = temp_folder / "s"
    if kind == "plain file":
        path.write_text("")
    if kind == "dead socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    with (
        pytest.raises(UserError, match=f"no azr-sandboxd answers at {path}: start one there"),
        open_sandbox(SandboxConfig(socket=str(path))),
    ):
        pass


def test_a_configured_daemon_below_the_required_level_is_refused(temp_folder, monkeypatch):
    """This machine's daemon may be at any level: one that says less than it is stands for all."""
    monkeypatch.setattr(Client, "info", lambda client: {"security": {"level": "seccomp"}})
    with Sandbox() as sandbox:
        with open_sandbox(SandboxConfig(socket=sandbox.path, require="seccomp")):
            pass
        with (
            pytest.raises(UserError, match=r"at level seccomp, full is required"),
            open_sandbox(SandboxConfig(socket=sandbox.path, require="full")),
        ):
            pass


# --- life -------------------------------------------------------------------------------------------


def test_the_socket_is_private_and_gone_afterwards(temp_folder):
    with Sandbox(zygotes=3) as sandbox:
        (folder,) = temp_folder.iterdir()
        assert Path(sandbox.path).parent == folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        ours = family(sandbox.path)
        assert len(ours) >= 4  # the broker and its zygotes
        reply = sandbox.client(LIMITS).call("def f(): return 1", "f", [""])
        assert reply.results[0].value == "1"
    wait_until(gone(ours))
    assert list(temp_folder.iterdir()) == []


def test_an_exception_stops_the_daemon(temp_folder):
    ours = set()

    def fail():
        with open_sandbox(SandboxConfig()):
            ours.update(family(temp_folder))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ours
    wait_until(gone(ours))
    assert list(temp_folder.iterdir()) == []


def test_a_running_daemon_is_used_and_left_running(sandbox):
    for _ in range(2):
        with open_sandbox(SandboxConfig(socket=sandbox.path)) as client:
            assert client.call("def f(): return 2", "f", [""]).results[0].value == "2"


def test_limits_come_from_the_config(sandbox):
    config = SandboxConfig(socket=sandbox.path, timeout_ms=200, memory_mib=128, output_kib=1)
    with open_sandbox(config) as client:
        assert client.call(FOREVER, "f", [""]).results[0].verdict == "timeout"
        assert (
            client.call("def f(): return len(bytearray(200 << 20))", "f", [""]).results[0].verdict
            == "memory"
        )
        assert client.call("def f(): return 'x' * 2000", "f", [""]).results[0].verdict == "output"
        assert client.call("def f(): return 'x' * 1000", "f", [""]).results[0].verdict == "ok"


def test_zygotes_default_to_two_per_core(sandbox):
    assert len(family(sandbox.path)) >= 1 + 2 * usable_cores()


# --- death ------------------------------------------------------------------------------------------


def test_a_daemon_killed_in_the_middle_of_a_call(temp_folder):
    with Sandbox(zygotes=2) as sandbox:
        client = sandbox.client(Limits(60_000, 256 << 20, 1 << 16))
        raised = []

        def call():
            with pytest.raises(SandboxLost, match=r"was lost") as caught:
                client.call(FOREVER, "f", [""])
            raised.append(caught.value)

        thread = threading.Thread(target=call)
        thread.start()
        wait_until(lambda: client.info()["stats"]["programs_running"] == "1")
        ours = family(sandbox.path)
        (broker,) = (pid for pid in ours if processes().get(pid) == os.getpid())
        os.kill(broker, signal.SIGKILL)
        thread.join(60)
        assert raised
        with pytest.raises(SandboxLost):
            client.call(FOREVER, "f", [""])
        wait_until(gone(ours))
    assert list(temp_folder.iterdir()) == []


PARENT = """
import sys, time
from azr_fast.sandbox.launcher import Sandbox
with Sandbox(zygotes=2) as sandbox:
    print(sandbox.path, flush=True)
    time.sleep(1000)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_ends_the_trainer_ends_the_daemon(temp_folder, number):
    source = str(Path(launcher.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source}
    command = [sys.executable, "-c", textwrap.dedent(PARENT)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as parent:
        path = Path(parent.stdout.readline().decode().strip())
        assert path.is_socket()
        wait_until(lambda: len(with_descendants({parent.pid})) >= 4)  # trainer, broker, zygotes
        ours = with_descendants({parent.pid}) - {parent.pid}
        parent.send_signal(number)
        parent.wait()
    wait_until(gone(ours))
    wait_until(lambda: list(temp_folder.iterdir()) == [])


def test_a_silent_daemon_is_given_up(temp_folder, monkeypatch):
    monkeypatch.setattr(client_module, "_PATIENCE_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(temp_folder / "s"))
        listener.listen()
        client = Client(str(temp_folder / "s"), Limits(10, 1 << 20, 1 << 10))
        with pytest.raises(SandboxLost, match=r"was lost"):
            client.call(FOREVER, "f", [""])
