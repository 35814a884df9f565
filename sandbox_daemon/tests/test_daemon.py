"""The daemon from outside: supervision, life cycle, and every way to fail to start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from .conftest import (
    IDENTITY,
    Daemon,
    children_of,
    eventually,
    executable,
    running,
    value,
)

# --- supervision


def test_nothing_is_left_of_a_hanging_program(daemon: Daemon) -> None:
    reply = daemon.call("import time\ndef f(): time.sleep(3600)", "", TIMEOUT=300)
    assert reply["verdict"] == "timeout"
    for zygote in daemon.zygote_pids():
        assert children_of(zygote) == []


def test_a_client_that_leaves_takes_its_programs_along(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(daemon.path)
        raw.sendall(b"RUN\r\n*4\r\n$3\r\nRUN\r\n$15\r\nwhile 1:\n\tpass\n\r\n")
        raw.sendall(b"$7\r\nTIMEOUT\r\n$6\r\n600000\r\n")
        assert eventually(lambda: any(map(children_of, daemon.zygote_pids())))
    assert eventually(lambda: not any(map(children_of, daemon.zygote_pids())))
    assert value(daemon) == "1"


def test_a_killed_zygote_is_replaced_and_its_job_answered(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        connection = daemon.connect().connection_pool.get_connection()
        connection.send_command("CALL", "import time\ndef f(): time.sleep(60)", "f", 1, "")
        (zygote,) = daemon.zygote_pids()
        assert eventually(lambda: children_of(zygote) != [])
        (child,) = children_of(zygote)
        os.kill(zygote, signal.SIGKILL)
        reply = connection.read_response()
        assert reply["verdict"] == "crash"
        assert "zygote" in reply["message"]
        assert eventually(lambda: not Path(f"/proc/{child}").exists())
        assert value(daemon) == "1"
        assert daemon.zygote_pids() != [zygote]


def test_a_stopped_zygote_is_replaced(folder: Path) -> None:
    """One that no longer answers is given some seconds beyond the deadline."""
    with running(f"{folder}/s", "--zygotes", "2") as daemon:
        stopped = daemon.zygote_pids()[0]
        os.kill(stopped, signal.SIGSTOP)
        reply = daemon.call(IDENTITY, "1", TIMEOUT=100)
        assert reply["verdict"] == "crash"
        assert value(daemon) == "1"
        assert eventually(lambda: stopped not in daemon.zygote_pids())


def test_end_of_the_daemon_is_the_end_of_everything(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "2") as daemon:
        zygotes = daemon.zygote_pids()
        connection = daemon.connect().connection_pool.get_connection()
        connection.send_command("RUN", "while True: pass", "TIMEOUT", 600000)
        assert eventually(lambda: any(map(children_of, zygotes)))
        everyone = zygotes + [child for zygote in zygotes for child in children_of(zygote)]
        daemon.process.kill()
        assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in everyone))


# --- life cycle


def test_sigterm_drains_and_removes_the_socket(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        assert daemon.first_line == f"ready {folder}/s\n"
        assert (folder / "s").stat().st_mode & 0o777 == 0o600
        connection = daemon.connect().connection_pool.get_connection()
        slow = f"import time; time.sleep(0.3)\n{IDENTITY}"
        connection.send_packed_command(
            connection.pack_commands([("CALL", slow, "f", 1, "1"), ("CALL", slow, "f", 1, "2")])
        )
        assert eventually(lambda: any(map(children_of, daemon.zygote_pids())))
        daemon.process.terminate()
        values = [connection.read_response()["results"][0]["value"] for _ in range(2)]
        assert values == ["1", "2"]
        assert daemon.process.wait(30) == 0
        assert not (folder / "s").exists()


def test_ctrl_c_at_a_terminal_drains(folder: Path) -> None:
    """The signal goes to the whole group of processes; programs are none of it."""
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        connection = daemon.connect().connection_pool.get_connection()
        slow = f"import time; time.sleep(0.3)\n{IDENTITY}"
        connection.send_command("CALL", slow, "f", 1, "1")
        assert eventually(lambda: any(map(children_of, daemon.zygote_pids())))
        os.killpg(daemon.process.pid, signal.SIGINT)
        assert connection.read_response()["results"][0]["value"] == "1"
        assert daemon.process.wait(30) == 0


def test_shutdown_command(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        with pytest.raises(redis.ConnectionError):
            daemon.connect().execute_command("SHUTDOWN")
        assert daemon.process.wait(30) == 0


def test_two_daemons_never_share_a_path(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as first:
        with running(f"{folder}/s", "--zygotes", "1") as second:
            assert second.process.wait(30) == 2
            assert "already serves" in second.process.stderr.read()
        assert value(first) == "1"


def test_a_stale_socket_is_replaced(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{folder}/s")
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        assert value(daemon) == "1"


def test_parent_death(folder: Path) -> None:
    program = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)\n"
        "assert p.stdout.readline().startswith('ready')\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(600)"
    )
    words = [executable(), "--socket", f"{folder}/s", "--zygotes", "1", "--parent-death"]
    parent = subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        daemon = int(parent.stdout.readline())
        parent.kill()
    assert eventually(lambda: not Path(f"/proc/{daemon}").exists() or is_zombie(daemon))
    assert not (folder / "s").exists()


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_an_empty_environment_is_enough(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1", environment={}) as daemon:
        program = "import sys, os\ndef f(): return sys.prefix, dict(os.environ)"
        answer = daemon.call(program, "")["results"][0]["value"]
        assert repr(sys.base_prefix) in answer
        assert "'LANG': 'C.UTF-8'" in answer


# --- refusing to start


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "--socket PATH is needed"),
        (["--socket", "/" + "x" * 200], "use a shorter one"),
        (["--socket", "/no/such/folder/s"], "/no/such/folder"),
        (["--socket", "/etc/passwd"], "is no socket"),
        (["--socket", "{}/s", "--require", "all"], "--require must be"),
        (["--socket", "{}/s", "--zygotes", "many"], "--zygotes must be a number"),
        (["--socket", "{}/s", "--colour", "red"], "unknown option '--colour'"),
        (
            ["--socket", "{}/s", "--preload", "math,no_such_module"],
            "cannot import 'no_such_module'",
        ),
        (["--socket"], "needs a value"),
    ],
)
def test_start_errors_are_one_line(folder: Path, options: list[str], complaint: str) -> None:
    words = [executable(), *(option.format(folder) for option in options)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("azr-sandboxd: ")


def test_check_prints_each_layer() -> None:
    done = subprocess.run(
        [executable(), "--check"], capture_output=True, text=True, timeout=120, check=False
    )
    lines = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()}
    assert lines["seccomp"] == lines["rlimits"] == lines["no_new_privs"] == "on"
    assert lines["level"] in ("full", "namespaces", "seccomp")
    assert done.returncode == 0


def test_help_and_version() -> None:
    for option, expected in (("--help", "--require LEVEL"), ("--version", "azr-sandboxd 0.")):
        done = subprocess.run(
            [executable(), option], capture_output=True, text=True, timeout=60, check=True
        )
        assert expected in done.stdout
