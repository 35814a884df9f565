"""What people see of a run as it goes on: a live display, or plain lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from azr_fast.config.schema import Config
from azr_fast.observe.text import duration, group_table, reward_text, step_line

Metrics = Mapping[str, Any]


class Observer(Protocol):
    """Told by the loop what it does. Methods are cheap: the loop never waits for a display."""

    def start(self, run_dir: Path, config: Config, step: int = 0) -> None:
        """A run begins, or goes on after `step`."""

    def phase(self, name: str, total: int | None = None) -> None:
        """A phase begins: load, seed, play, update, sync, checkpoint. None: no known end yet."""

    def advance(self, done: int, total: int | None = None, note: str = "") -> None:
        """So much of the phase is done by now, of a total that may grow."""

    def step(self, metrics: Metrics) -> None:
        """A step is over; its line of metrics.jsonl."""

    def note(self, text: str) -> None:
        """Something worth a line that stays."""

    def close(self) -> None:
        """No more is coming. Idempotent."""


def open_observer(console: Console) -> Observer:
    """A live display on a terminal, plain lines elsewhere."""
    return LiveObserver(console) if console.is_terminal else PlainObserver(console)


class Clock:
    """How long a run has gone on and how long it may still take."""

    def __init__(self, config: Config, step: int = 0) -> None:
        self.step = step  # the last one that is over
        self.steps = config.run.steps
        self._limit = config.run.time_limit_minutes * 60.0 or float("inf")
        self._started = self._limit_from = self._last = time.monotonic()
        self._timed = 0  # steps whose length is known
        self._seconds = 0.0

    def tick(self, step: int) -> None:
        """A step is over."""
        now = time.monotonic()
        self._seconds += now - self._last
        self._timed += 1
        self._last, self.step = now, step

    def phase(self, name: str) -> None:
        """A phase begins. Loading and seeding are no part of a step, loading none of the limit."""
        if name == "load":
            self._limit_from = float("inf")
        elif self._limit_from == float("inf"):
            self._limit_from = time.monotonic()
        if name == "play" and not self._timed:
            self._last = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def remaining(self) -> float | None:
        """Seconds until the last step or the time limit, whichever comes first. None: unknown."""
        by_steps = float("inf")
        if self._timed:
            by_steps = (self.steps - self.step) * self._seconds / self._timed
        used = max(0.0, time.monotonic() - self._limit_from)
        left = min(by_steps, max(0.0, self._limit - used))
        return None if left == float("inf") else left


def _headline(run_dir: Path, config: Config, step: int) -> str:
    going_on = f", going on after step {step}" if step else ""
    minutes = config.run.time_limit_minutes
    limit = f" or {minutes:g} minutes" if minutes else ""
    return f"run {run_dir}: {config.model.name}, up to {config.run.steps} steps{limit}{going_on}"


class PlainObserver:
    """One line per phase and step."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def start(self, run_dir: Path, config: Config, step: int = 0) -> None:
        """Name the run."""
        self._clock = Clock(config, step)
        self.note(_headline(run_dir, config, step))

    def phase(self, name: str, total: int | None = None) -> None:
        """One line; nothing more until the next."""
        self._clock.phase(name)
        self.note(f"  {name}" + (f" ({total})" if total else ""))

    def advance(self, done: int, total: int | None = None, note: str = "") -> None:
        """Too often for a log."""

    def step(self, metrics: Metrics) -> None:
        """The rates of the step, the time left, and the rewards per group."""
        self._clock.tick(metrics["step"])
        left = self._clock.remaining()
        about = f", about {duration(left)} left" if left is not None else ""
        speed, elapsed = metrics["tokens_per_s"], duration(self._clock.elapsed())
        self.note(f"{step_line(metrics, self._clock.steps)} ({speed:.0f} tok/s, {elapsed}{about})")
        self.note(f"  rewards: {reward_text(metrics['groups'])}")

    def note(self, text: str) -> None:
        """Written at once, never wrapped."""
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)
        self._console.file.flush()

    def close(self) -> None:
        """Nothing is held."""


class LiveObserver:
    """A display that is redrawn in place twice a second; notes and steps scroll above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._groups: Mapping[str, Mapping[str, Any]] = {}
        self._bar = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self._task = self._bar.add_task("load", total=None, note="")
        self._live: Live | None = None

    def start(self, run_dir: Path, config: Config, step: int = 0) -> None:
        """Draw for the first time."""
        self._clock = Clock(config, step)
        self.note(_headline(run_dir, config, step))
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=2,
            transient=True,
        )
        self._live.start()

    def phase(self, name: str, total: int | None = None) -> None:
        """A fresh bar."""
        self._clock.phase(name)
        self._bar.remove_task(self._task)  # reset() would keep the last phase's total
        self._task = self._bar.add_task(name, total=total, note="")

    def advance(self, done: int, total: int | None = None, note: str = "") -> None:
        """Drawn with the next frame."""
        self._bar.update(self._task, completed=done, total=total, note=note)

    def step(self, metrics: Metrics) -> None:
        """The step as a line that stays, its groups as the table that is redrawn."""
        self._clock.tick(metrics["step"])
        self._groups = metrics["groups"]
        self.note(step_line(metrics, self._clock.steps))

    def note(self, text: str) -> None:
        """Printed above the display."""
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Give the terminal back."""
        if self._live:
            self._live.stop()

    def _render(self) -> RenderableType:
        clock = self._clock
        left = clock.remaining()
        about = f", about {duration(left)} left" if left is not None else ""
        head = Text(
            f"step {min(clock.step + 1, clock.steps)} of {clock.steps} · "
            f"{duration(clock.elapsed())} gone{about} · Ctrl-C stops after a checkpoint"
        )
        table = [group_table(self._groups)] if self._groups else []
        return Group(*table, head, self._bar)
