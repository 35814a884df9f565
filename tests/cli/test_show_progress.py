"""`make` shows how far pip and the build are, on a terminal and elsewhere."""

import importlib.util
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "requirements" / "show_progress.py"


def show(*words, **options):
    return subprocess.run(
        [sys.executable, SCRIPT, *words], capture_output=True, text=True, **options
    )


def test_elsewhere_it_says_when_it_began_and_how_it_ended():
    done = show("building", "--", sys.executable, "-c", "print('[1/2] a'); print('[2/2] b')")
    assert done.returncode == 0
    begun, ended = done.stdout.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d building", begun)
    assert re.fullmatch(r"building: done after \d+:\d\d", ended)


def test_a_command_that_fails_shows_what_it_said_and_its_status():
    code = "import sys; print('an error: no such header'); sys.exit(3)"
    done = show("building", "--", sys.executable, "-c", code)
    assert done.returncode == 3
    assert "an error: no such header" in done.stdout
    assert "building: failed with exit status 3 after" in done.stdout


def test_an_attempt_that_fails_says_so_alone():
    code = "import sys; print('ERROR: no such package'); sys.exit(1)"
    done = show("torch", "--attempt", "--", sys.executable, "-c", code)
    assert done.returncode == 1
    assert "ERROR" not in done.stdout
    assert "torch: failed with exit status 1" in done.stdout


def test_on_a_terminal_the_newest_line_is_drawn_in_place():
    ours, theirs = pty.openpty()
    command = [sys.executable, SCRIPT, "building", "--", sys.executable, "-c", "print('[7/9] z')"]
    with subprocess.Popen(command, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while more := os.read(ours, 65536):
                shown += more
        except OSError:  # EIO: the other side is closed
            pass
        assert process.wait() == 0
    os.close(ours)
    assert b"\r\x1b[Kbuilding: for 0:00; [7/9] z" in shown


@pytest.fixture
def module(monkeypatch):
    spec = importlib.util.spec_from_file_location("show_progress", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_packages_and_downloads_are_counted(module):
    progress = module.Progress("installing", 150)
    for line in ("Collecting torch==2.13.0 (from -r cpu.lock (line 1))", "Collecting rich==15.0.0"):
        progress.take(line)
    progress.take("Progress 52428800 of 209715200")
    assert progress.state() == (
        "installing: 2 of 150 packages, for 0:00; Collecting rich==15.0.0 · 50 of 200 MB"
    )


def test_a_line_comes_every_so_often(module, monkeypatch, capsys):
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.05)
    sleep = "import time\nprint('[1/9] slow', flush=True)\ntime.sleep(1)"
    assert module.run(module.Progress("building"), [sys.executable, "-c", sleep]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(re.fullmatch(r"\d\d:\d\d:\d\d building: for 0:0\d; \[1/9\] slow", x) for x in lines)
