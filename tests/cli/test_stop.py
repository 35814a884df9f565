"""Signals: the first asks, or interrupts while nothing is there to save; the second insists."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from azr_fast.cli.stop import SIGNALS, handled_by, interrupt, stop_on_signals


def test_the_first_signal_asks_and_the_second_stops_at_once():
    asked = []
    with stop_on_signals(lambda: asked.append(1)) as should_stop:
        assert not should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert should_stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert asked == [1]


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_asks_and_handlers_come_back(number):
    before = list(map(signal.getsignal, SIGNALS))
    with stop_on_signals(lambda: None) as should_stop:
        os.kill(os.getpid(), number)
        assert should_stop()
    assert list(map(signal.getsignal, SIGNALS)) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_while_loading_each_signal_interrupts_without_a_word(number):
    asked = []
    with (
        pytest.raises(KeyboardInterrupt),
        stop_on_signals(lambda: asked.append(1)) as should_stop,
        should_stop.at_once(),
    ):
        os.kill(os.getpid(), number)
    assert asked == []


def hidden():
    with suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def disguised():
    hidden()
    raise RuntimeError("the engine did not start")


@pytest.mark.parametrize("library", [hidden, disguised])
def test_an_interruption_that_a_library_hides_is_raised_all_the_same(library):
    with (
        pytest.raises(KeyboardInterrupt),
        stop_on_signals(lambda: None) as should_stop,
        should_stop.at_once(),
    ):
        library()


def test_an_error_while_loading_stays_what_it_is():
    with (
        pytest.raises(RuntimeError),
        stop_on_signals(lambda: None) as should_stop,
        should_stop.at_once(),
    ):
        raise RuntimeError("the engine did not start")


def test_sighup_that_is_ignored_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals(lambda: None) as should_stop, handled_by(interrupt):
            os.kill(os.getpid(), signal.SIGHUP)
            assert not should_stop()
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_a_signal_nothing_is_announced():
    asked = []
    with stop_on_signals(lambda: asked.append(1)) as should_stop:
        assert not should_stop()
    assert asked == []


@pytest.mark.parametrize(
    ("second", "code"),
    [
        ("SIGTERM", -signal.SIGTERM),
        ("SIGUSR1", -signal.SIGUSR1),
        ("SIGHUP", 0),  # a terminal that closes sends two
    ],
)
def test_a_second_signal_ends_the_process(second, code):
    program = (
        "import os, signal, threading; from azr_fast.cli.stop import stop_on_signals\n"
        "announced = threading.Event()\n"
        "with stop_on_signals(announced.set):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    announced.wait()\n"
        "    print('asked', flush=True)\n"
        f"    os.kill(os.getpid(), signal.{second})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "asked\n")


def test_a_signal_while_python_imports_leaves_one_line_and_no_run(start, words, tmp_path):
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start(*words())
        wait_for_mapping(process, "pydantic_core")
        process.send_signal(number)
        out, errors = process.communicate()
        assert (process.returncode, out, errors) == (130, "", "azr-fast: stopped\n")
        assert list(tmp_path.iterdir()) == []


def wait_for_mapping(process, name):
    """Until the process has loaded a shared library of this name: so far it has come."""
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and name not in maps.read_text():
        time.sleep(0.005)


def test_a_signal_while_the_model_loads_leaves_one_line_and_no_run(start, words, tmp_path):
    process = start(*words(**{"run.name": "one"}))
    while "load" not in process.stdout.readline():
        assert process.poll() is None
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [".one.partial"]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "azr-fast: stopped\n")
    assert list(tmp_path.iterdir()) == []


def test_sigusr1_saves_and_stops(start, words, tmp_path):
    process = start(*words(**{"run.name": "one", "run.steps": 10_000}))
    while not process.stdout.readline().startswith("step 1/"):
        assert process.poll() is None
    process.send_signal(signal.SIGUSR1)
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "stopping after a checkpoint of the steps made" in out
    (checkpoint,) = (tmp_path / "runs" / "one" / "checkpoints").iterdir()
    assert len((tmp_path / "runs/one/metrics.jsonl").read_text().splitlines()) == int(
        checkpoint.name.removeprefix("step-")
    )
