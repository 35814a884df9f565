"""What an operator does: a file of options, SIGHUP, a service manager, metrics."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from .conftest import IDENTITY, PATIENT, Daemon, eventually, executable, running, value

# --- the file of --config, and SIGHUP


@contextlib.contextmanager
def configured(folder: Path, text: str, *options: str) -> Iterator[Daemon]:
    (folder / "conf").write_text(text)
    with running(f"{folder}/s", "--config", f"{folder}/conf", *options) as daemon:
        yield daemon


def after_sighup(daemon: Daemon, lines: int) -> list[str]:
    """The lines that it says about it."""
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.process.stderr is not None
    said = [daemon.process.stderr.readline() for _ in range(lines)]
    assert all(line.startswith("azr-sandboxd: SIGHUP: ") for line in said), said
    return [line.removeprefix("azr-sandboxd: SIGHUP: ").strip() for line in said]


def test_the_command_line_wins_over_the_file(folder: Path) -> None:
    text = "# a comment\n\n timeout  3000\nzygotes\t1\noutput 5000\n"
    with configured(folder, text, "--timeout", "4000") as daemon, daemon.connect() as client:
        shown = client.config_get("*")
        assert shown["timeout"] == "4000"
        assert shown["zygotes"] == "1"
        assert shown["output"] == "5000"
        assert daemon.call("def f(): print('x' * 6000)", "")["verdict"] == "output"


def test_sighup_changes_limits_of_a_living_daemon(folder: Path) -> None:
    with configured(folder, "zygotes 1\ntimeout 60000\nmax-clients 5\n") as daemon:
        zygotes = daemon.zygote_pids()
        (folder / "conf").write_text("zygotes 2\ntimeout 150\nmax-clients 6\n")
        assert after_sighup(daemon, 3) == [
            "zygotes '1' -> '2': only after a restart",
            "timeout '60000' -> '150'",
            "cpu '60000' -> '150'",
        ]
        assert daemon.process.stderr.readline().endswith("max-clients '5' -> '6'\n")
        reply = daemon.call("def f():\n  while True: pass", "")
        assert (reply["verdict"], reply["message"]) == ("timeout", "deadline of 150 ms")
        assert daemon.zygote_pids() == zygotes
        assert after_sighup(daemon, 1) == ["zygotes '1' -> '2': only after a restart"]
        (folder / "conf").write_text("zygotes 1\ntimeout 150\nmax-clients 6\n")
        assert after_sighup(daemon, 1) == ["nothing has changed"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("timeout 9\ncolour red\n", "line 2: unknown option 'colour'"),
        ("timeout soon\n", "option --timeout must be a number"),
        ("timeout\n", "line 1: option timeout needs a value"),
        ("timeout 9\ntimeout 9\n", "line 2: option timeout is there twice"),
        ("config /etc/passwd\n", "unknown option 'config'"),
        ("max-queued 1\n", "option --max-queued must be a number from 67108864"),
    ],
)
def test_a_bad_file_changes_nothing(folder: Path, text: str, complaint: str) -> None:
    with configured(folder, "timeout 5000\nzygotes 1\n") as daemon:
        (folder / "conf").write_text(text)
        (line,) = after_sighup(daemon, 1)
        assert line.startswith(f"all stays as it is: --config {folder}/conf: ")
        assert complaint in line
        with daemon.connect() as client:
            assert client.config_get("timeout") == {"timeout": "5000"}


def test_sighup_without_the_file(folder: Path) -> None:
    with configured(folder, "zygotes 1\n") as daemon:
        (folder / "conf").unlink()
        (line,) = after_sighup(daemon, 1)
        assert "cannot open it (No such file or directory)" in line
        assert value(daemon) == "1"


def test_sighup_without_a_config(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        assert after_sighup(daemon, 1) == ["nothing to read again: there is no --config FILE"]
        assert value(daemon) == "1"


def test_a_daemon_does_not_start_with_a_bad_file(folder: Path) -> None:
    with configured(folder, "colour red\n") as daemon:
        assert daemon.process.wait(60) == 2
        assert "line 1: unknown option 'colour'" in daemon.process.stderr.read()


# --- a service manager


def listening(folder: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(f"{folder}/s")
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


AS_A_MANAGER = """
import os, sys
descriptor, count, *command = sys.argv[1:]
os.dup2(int(descriptor), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count)
os.execv(command[0], command)
"""


def activated(passed: socket.socket, *options: str, count: int = 1) -> subprocess.Popen[str]:
    """A daemon with `passed` as descriptor 3, started as systemd does: the pid is its own."""
    words = [str(passed.fileno()), str(count), executable(), *options]
    return subprocess.Popen(
        [sys.executable, "-c", AS_A_MANAGER, *words],
        pass_fds=[passed.fileno()],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def call_over(path: str) -> str:
    with redis.Redis(unix_socket_path=path, protocol=3, decode_responses=True) as client:
        words = ("CALL", IDENTITY, "f", 1, "'here'", "TIMEOUT", PATIENT)
        reply = client.execute_command(*words)
        return str(reply["results"][0]["value"])


def test_socket_activation(folder: Path) -> None:
    """The socket outlives the daemon, and who connects in between is served by the next."""
    with listening(folder) as passed:
        for _ in range(2):
            waiting = socket.socket(socket.AF_UNIX)
            waiting.connect(f"{folder}/s")
            waiting.sendall(b"PING\r\n")
            with activated(passed, "--zygotes", "1") as process:
                assert waiting.recv(100) == b"+PONG\r\n"
                waiting.close()
                assert call_over(f"{folder}/s") == "'here'"
                process.terminate()
                assert process.wait(30) == 0
                assert process.stdout.read() == f"ready {folder}/s\n"
            assert (folder / "s").is_socket()


def test_an_activated_daemon_reloads_without_a_socket_of_its_own(folder: Path) -> None:
    (folder / "conf").write_text("zygotes 1\n")
    with listening(folder) as passed, activated(passed, "--config", f"{folder}/conf") as process:
        assert process.stdout.readline() == f"ready {folder}/s\n"
        process.send_signal(signal.SIGHUP)
        assert process.stderr.readline() == "azr-sandboxd: SIGHUP: nothing has changed\n"
        process.kill()


@pytest.mark.parametrize(
    ("kind", "count", "options", "complaint"),
    [
        (socket.SOCK_STREAM, 2, [], "2 sockets were passed, one is served"),
        (socket.SOCK_DGRAM, 1, [], "no listening Unix stream socket"),
        (socket.SOCK_STREAM, 1, ["--socket", "/other"], "leave --socket away"),
        (socket.SOCK_STREAM, 0, [], "--socket PATH is needed"),
    ],
)
def test_what_cannot_be_activated(
    folder: Path, kind: socket.SocketKind, count: int, options: list[str], complaint: str
) -> None:
    with listening(folder, kind) as passed, activated(passed, *options, count=count) as process:
        assert process.wait(60) == 2
        assert complaint in process.stderr.read()


def test_a_socket_passed_to_another_process_is_left_alone(folder: Path) -> None:
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    with running(f"{folder}/s", "--zygotes", "1", environment=environment) as daemon:
        assert value(daemon) == "1"


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(folder: Path, abstract: bool) -> None:
    path = f"{folder}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{path}" if abstract else path)
        environment = {"NOTIFY_SOCKET": f"@{path}" if abstract else path}
        conf = folder / "conf"
        conf.write_text("zygotes 1\n")
        options = ("--config", str(conf))
        with running(f"{folder}/s", *options, environment=environment) as daemon:
            assert manager.recv(100) == b"READY=1"
            daemon.process.send_signal(signal.SIGHUP)
            assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(100))
            assert manager.recv(100) == b"READY=1"
            assert daemon.stop() == 0
            assert manager.recv(100) == b"STOPPING=1"


# --- metrics

SAMPLE = re.compile(r'(azr_sandboxd_\w+(?:\{\w+="[^"]*"(?:,\w+="[^"]*")*\})?) ([0-9.e+-]+)')


def samples(path: Path) -> dict[str, float]:
    """What Prometheus reads there; a line it could not read fails."""
    found = {}
    for line in path.read_text().splitlines():
        if not line.startswith(("# HELP azr_sandboxd_", "# TYPE azr_sandboxd_")):
            match = SAMPLE.fullmatch(line)
            assert match, line
            found[match[1]] = float(match[2])
    return found


def test_metrics_are_rewritten(folder: Path) -> None:
    path = folder / "metrics.prom"
    with running(f"{folder}/s", "--zygotes", "1", "--metrics", str(path)) as daemon:
        before = path.stat().st_ino
        assert samples(path)['azr_sandboxd_jobs_total{verdict="ok"}'] == 0
        assert value(daemon) == "1"
        daemon.call("def f(): return 1 / 0", "", TIMEOUT=PATIENT)
        daemon.run("exit(1)", TIMEOUT=PATIENT)
        assert eventually(lambda: samples(path)['azr_sandboxd_jobs_total{verdict="error"}'] == 1)
        assert path.stat().st_ino != before
        assert value(daemon) == "1"
        assert daemon.stop() == 0
        last = samples(path)
    assert last['azr_sandboxd_jobs_total{verdict="ok"}'] == 3
    assert last["azr_sandboxd_zygotes"] == 1
    assert path.stat().st_mode & 0o777 == 0o644
    assert sorted(p.name for p in folder.iterdir()) == ["metrics.prom"]


def test_histograms_of_metrics(folder: Path) -> None:
    path = folder / "metrics.prom"
    with running(f"{folder}/s", "--zygotes", "1", "--metrics", str(path)) as daemon:
        for _ in range(5):
            assert value(daemon) == "1"
        assert daemon.stop() == 0
    found = samples(path)
    for name in ("job", "queue"):
        series = f"azr_sandboxd_{name}_seconds"
        buckets = [v for k, v in found.items() if k.startswith(f"{series}_bucket")]
        assert len(buckets) == 44
        assert buckets == sorted(buckets)
        assert buckets[-1] == found[f"{series}_count"] == 5
        assert found[f"{series}_sum"] > 0
        assert f'{series}_bucket{{le="0.015"}}' in found


def test_metrics_that_cannot_be_written(folder: Path) -> None:
    missing = folder / "no/metrics"
    with running(f"{folder}/s", "--metrics", str(missing)) as daemon:
        assert daemon.process.wait(60) == 2
        assert f"--metrics: cannot write {missing}" in daemon.process.stderr.read()
    missing.parent.mkdir()
    with running(f"{folder}/s", "--zygotes", "1", "--metrics", str(missing)) as daemon:
        missing.unlink()
        missing.parent.rmdir()
        line = daemon.process.stderr.readline()
        assert f"cannot write {missing}" in line
        assert value(daemon) == "1"


def test_sighup_moves_the_metrics(folder: Path) -> None:
    old, new = folder / "old", folder / "new"
    with configured(folder, f"zygotes 1\nmetrics {old}\n") as daemon:
        assert old.exists()
        (folder / "conf").write_text(f"zygotes 1\nmetrics {new}\n")
        assert after_sighup(daemon, 1) == [f"metrics '{old}' -> '{new}'"]
        assert eventually(new.exists)


# --- the units


def test_the_example_configuration_is_valid(folder: Path) -> None:
    """Every line of it, those that are commented out too."""
    units = Path(__file__).parents[1] / "systemd"
    text = (units / "azr-sandboxd.conf").read_text()
    text = re.sub(r"^#([a-z-]+ \S+)$", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^(group|metrics|zygotes|require) .*$", "", text, flags=re.MULTILINE)
    with configured(folder, text, "--zygotes", "1") as daemon:
        assert value(daemon) == "1"
        with daemon.connect() as client:
            shown = client.config_get("*")
    for name, default in re.findall(r"^(\S+) (\d+)$", text, flags=re.MULTILINE):
        assert shown[name] == default
