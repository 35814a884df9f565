"""`sandbox top`, against the real azr-sandboxd."""

import io
import os
import pty
import re
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from azr_fast.cli.main import main
from azr_fast.cli.sandbox.top import Snapshot, rate, view
from azr_fast.sandbox.launcher import Sandbox
from azr_fast.sandbox.messages import Limits


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(zygotes=2) as running:
        yield running


def test_top_prints_one_snapshot(sandbox, capsys):
    sandbox.client(Limits(10_000, 256 << 20, 1 << 16)).run("print(1)")
    assert main(["sandbox", "top", "--socket", sandbox.path, "--once"]) == 0
    text = capsys.readouterr().out
    assert f"at {sandbox.path}" in text
    assert re.search(r"waiting 0  running 0  programs [1-9]\d*  [\d.]+/s on average", text)
    assert re.search(r"^ok +error +timeout", text, re.MULTILINE)
    assert re.search(r"^zygote1 +default +fork +\d+ +idle", text, re.MULTILINE)


def test_top_fits_a_terminal_after_mixed_work(sandbox, capsys, monkeypatch):
    """The bounds of histograms, of which mixed work fills many, are no columns."""
    monkeypatch.setenv("COLUMNS", "80")
    client = sandbox.client(Limits(300, 256 << 20, 1 << 16))
    for script in ("print(1)", "1 / 0", "while True: pass", "import calendar", "x = [0] * 10**6"):
        client.run(script)
    assert "_buckets:" in "".join(f"{k}:" for k in client.info()["latency"])
    assert main(["sandbox", "top", "--socket", sandbox.path, "--once"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^job_us +\d+ +\d+ +\d+ +\d+ +\d+ *$", text, re.MULTILINE)
    assert "le_" not in text
    assert max(len(line) for line in text.splitlines()[1:]) <= 80  # the first has the socket


def test_top_shows_pools_and_latency_where_the_daemon_has_them():
    """Sections that daemons of other versions have, in either of the forms that INFO has."""
    server = {"version": "1", "socket": "/s", "uptime_in_seconds": "10"}
    stats = {"jobs_waiting": "3", "programs_running": "2", "verdict_ok": "40", "verdict_crash": "2"}
    info = {
        "server": server,
        "security": {"level": "full"},
        "clients": {"connected_clients": "1"},
        "stats": stats,
        "pools": {"pools": "1", "pool0": "name=plain,zygotes=2,imports=[red]"},
        "latency": {"p50_us": "900", "p99_us": "4000"},
    }
    console = Console(width=80, record=True, file=io.StringIO())
    now = Snapshot(12.0, info)
    console.print(view(now, Snapshot(10.0, {**info, "stats": {**stats, "verdict_ok": "20"}})))
    text = console.export_text()
    assert "waiting 3  running 2  programs 42  10.0/s\n" in text
    assert re.search(r"^pool0 +plain +2 +\[red\] *$", text, re.MULTILINE)
    assert re.search(r"^p99_us +4000 *$", text, re.MULTILINE)
    assert rate(now, None) == 4.2


def test_top_lives_in_a_terminal_until_ctrl_c(sandbox):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "azr_fast.cli", "sandbox", "top", "--socket", sandbox.path]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        shown = b""
        while shown.count(b"programs ") < 2:  # the first screen, and the one that follows it
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        while process.poll() is None:
            try:
                os.read(ours, 65536)
            except OSError:  # EIO: the other side is closed
                break
        assert (process.wait(60), process.stderr.read()) == (0, b"")
    os.close(ours)
