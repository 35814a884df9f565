import io
import re
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from azr_fast.config.load import load_config
from azr_fast.observe import progress
from azr_fast.observe.clock import Clock
from azr_fast.observe.metrics import group_metrics, proposal_rates, solver_rates
from azr_fast.observe.progress import LiveObserver, PlainObserver, open_observer
from azr_fast.observe.text import duration, percent, sparkline


@pytest.fixture
def metrics(a_step):
    return {
        "step": 3,
        "time": 12.5,
        "tokens_per_s": 412.3,
        "groups": group_metrics(a_step),
        "proposals": proposal_rates(a_step),
        "solver": solver_rates(a_step),
    }


def play_a_step(observer, metrics):
    observer.start(Path("runs/first"), load_config("cpu", {"run.steps": 5}))
    observer.phase("seed", 12)
    observer.advance(5, 12, "3 valid")
    observer.phase("play")
    observer.advance(20, 48, "412 tok/s")
    observer.step(metrics)
    observer.note("[checkpoint] saved")
    observer.close()
    observer.close()


def test_plain_lines_without_a_terminal(metrics):
    stream = io.StringIO()
    observer = open_observer(Console(file=stream, width=40))
    assert isinstance(observer, PlainObserver)
    play_a_step(observer, metrics)
    lines = stream.getvalue().splitlines()
    assert lines[:3] == [
        "run runs/first: smollm2-135m, up to 5 steps or 6 minutes",
        "  seed (12)",
        "  play",
    ]
    assert lines[3].startswith(
        "step 3/5: valid 50%, new 33%, learnable 17%; solved 25%, reward -0.25 (412 tok/s, 0:00, "
    )
    assert lines[4].startswith("  rewards: deduction/proposer -0.31, abduction/proposer -0.25, ")
    assert lines[5:] == ["[checkpoint] saved"]


def test_live_display_on_a_terminal_fits_80_columns(metrics):
    stream = io.StringIO()
    observer = open_observer(Console(file=stream, width=80, force_terminal=True))
    assert isinstance(observer, LiveObserver)
    play_a_step(observer, metrics)
    shown = stream.getvalue()
    for words in ("deduction/proposer", "step 3/5", "step 4 of 5", "[checkpoint] saved", "20/48"):
        assert words in shown
    console = Console(file=io.StringIO(), width=80)
    console.print(observer._render())
    assert "…" not in console.file.getvalue()


def test_live_display_fits_40_columns(metrics):
    observer = open_observer(Console(file=io.StringIO(), width=40, force_terminal=True))
    play_a_step(observer, metrics)
    console = Console(file=io.StringIO(), width=40)
    console.print(observer._render())
    shown = console.file.getvalue()
    assert "…" not in shown
    assert "deduction/proposer" in shown
    assert "passed" in shown
    assert max(map(len, shown.splitlines())) <= 40


def test_a_phase_that_goes_on_is_told_of_with_the_time_of_day(metrics, monkeypatch):
    """Also when nothing of ours is called meanwhile, as when a model is loaded."""
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.01)
    stream = io.StringIO()
    observer = open_observer(Console(file=stream))
    observer.start(Path("runs/first"), load_config("cpu", {"run.steps": 5}))
    observer.phase("load")
    while "load, for 0:00; 0 of 5 steps, about 6:00 left" not in stream.getvalue():
        time.sleep(0.001)
    observer.phase("play")
    observer.advance(20, 48, "412 tok/s")
    pattern = (
        r"^\d\d:\d\d:\d\d   play 20/48 412 tok/s, for 0:00; 0 of 5 steps, about (6:00|5:59) left$"
    )
    while not re.search(pattern, stream.getvalue(), re.MULTILINE):
        time.sleep(0.001)
    observer.close()
    threads = [thread.name for thread in threading.enumerate()]
    assert "progress" not in threads


def test_time_that_is_over_is_never_told_as_time_that_is_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = Clock(load_config("cpu", {"run.steps": 10, "run.time_limit_minutes": 1}))
    clock.phase("load")
    now[0] = 500.0
    assert clock.outlook() == "about 1:00 left"
    clock.phase("seed")
    now[0] = 559.5
    assert clock.outlook() == "the time is up: ending"
    now[0] = 900.0
    assert clock.outlook() == "the time is up: ending"
    unlimited = Clock(load_config("cpu", {"run.steps": 2, "run.time_limit_minutes": 0}))
    assert unlimited.outlook() == "time left unknown yet"
    unlimited.phase("play")
    now[0] += 10.0
    unlimited.tick(1)
    assert unlimited.outlook() == "about 0:10 left"
    now[0] += 4.0
    assert unlimited.outlook() == "about 0:06 left"
    now[0] += 60.0
    assert unlimited.outlook() == "longer than the steps before"


def test_remaining_time_is_that_of_the_steps_left_or_the_limit(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = Clock(load_config("cpu", {"run.steps": 10, "run.time_limit_minutes": 0}))
    assert clock.remaining() is None
    now[0] += 60  # loading and seeding are not steps
    clock.phase("play")
    for step in (1, 2):
        now[0] += 5
        clock.tick(step)
    assert (clock.elapsed(), clock.remaining()) == (70.0, 40.0)
    limited = Clock(load_config("cpu", {"run.steps": 10, "run.time_limit_minutes": 1}))
    limited.phase("load")
    now[0] += 100
    assert limited.remaining() == 60.0
    limited.phase("seed")
    now[0] += 50
    limited.phase("play")
    assert limited.remaining() == 10.0


def test_a_resumed_run_counts_only_its_own_steps(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = Clock(load_config("cpu", {"run.steps": 10, "run.time_limit_minutes": 0}))
    now[0] = 3.0
    clock.tick(8)
    assert clock.remaining() == 6.0


def test_numbers_as_text():
    assert [percent(None), percent(0.0), percent(0.425)] == ["-", "0%", "42%"]
    assert [duration(5), duration(65.4), duration(3661)] == ["0:05", "1:05", "1:01:01"]


def test_sparkline_shows_shares_and_fits_its_width():
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([None, 1.0]) == " █"
    assert sparkline([]) == ""
    long = sparkline([step / 999 for step in range(1000)], width=40)
    assert len(long) == 40
    assert list(long) == sorted(long)
    assert sparkline([0.0, 0.0, 1.0, 1.0], width=2) == "▁█"
