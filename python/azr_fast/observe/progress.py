"""What people see of a run as it goes on: a live display, or plain lines without a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from azr_fast.config.schema import Config
from azr_fast.observe.clock import Clock
from azr_fast.observe.text import duration, group_table, reward_text, step_line

Metrics = Mapping[str, Any]
EVERY_SECONDS = 30.0  # between lines of a phase that goes on, where there is no terminal
NARROW = 72  # columns below which the table of groups shows the reward and what passed alone


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


def _headline(run_dir: Path, config: Config, step: int) -> str:
    going_on = f", going on after step {step}" if step else ""
    minutes = config.run.time_limit_minutes
    limit = f" or {minutes:g} minutes" if minutes else ""
    return f"run {run_dir}: {config.model.name}, up to {config.run.steps} steps{limit}{going_on}"


class PlainObserver:
    """A line per phase and step, and one every EVERY_SECONDS of a phase: when, what is done and
    what is left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clock: Clock | None = None
        self._phase = ""
        self._progress = ""
        self._over = threading.Event()
        self._pulse = threading.Thread(target=self._beat, name="progress", daemon=True)

    def start(self, run_dir: Path, config: Config, step: int = 0) -> None:
        """Name the run."""
        self._clock = Clock(config, step)
        self.note(_headline(run_dir, config, step))
        self._pulse.start()

    def phase(self, name: str, total: int | None = None) -> None:
        """One line now, and further ones if it takes long."""
        assert self._clock is not None, "start() comes first"
        self._clock.phase(name)
        self._phase, self._progress = name, ""
        self.note(f"  {name}" + (f" ({total})" if total else ""))

    def advance(self, done: int, total: int | None = None, note: str = "") -> None:
        """Kept for the next line."""
        self._progress = " ".join(filter(None, [f"{done}" + (f"/{total}" if total else ""), note]))

    def step(self, metrics: Metrics) -> None:
        """The rates of the step, the time left, and the rewards per group."""
        assert self._clock is not None, "start() comes first"
        self._clock.tick(metrics["step"])
        speed, elapsed = metrics["tokens_per_s"], duration(self._clock.elapsed())
        times = f"{speed:.0f} tok/s, {elapsed}, {self._clock.outlook()}"
        self.note(f"{step_line(metrics, self._clock.steps)} ({times})")
        self.note(f"  rewards: {reward_text(metrics['groups'])}")

    def note(self, text: str) -> None:
        """Written at once, never wrapped."""
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)
        self._console.file.flush()

    def close(self) -> None:
        """End the lines of the clock."""
        self._over.set()
        if self._pulse.is_alive():
            self._pulse.join()

    def _beat(self) -> None:
        """Look now and then; a thread, since loading a model calls nothing of ours for minutes."""
        while not self._over.wait(EVERY_SECONDS):
            self.note(self.state())

    def state(self) -> str:
        """A line with the time of day: what goes on since when, what is done, what is left."""
        clock = self._clock
        assert clock is not None, "start() comes first"
        done = f" {self._progress}" if self._progress else ""
        return (
            f"{time.strftime('%H:%M:%S')}   {self._phase}{done}, for {duration(clock.in_phase())}; "
            f"{clock.step} of {clock.steps} steps, {clock.outlook()}"
        )


class LiveObserver:
    """A display that is redrawn in place twice a second; notes and steps scroll above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._groups: Mapping[str, Mapping[str, Any]] = {}
        self._bar = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=30 if console.width >= NARROW else 8),
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
        clock, narrow = self._clock, self._console.width < NARROW
        parts = [
            f"step {min(clock.step + 1, clock.steps)} of {clock.steps}",
            f"{duration(clock.elapsed())} gone",
            clock.outlook(),
            "Ctrl-C stops after a checkpoint",
        ]
        head = Text("\n".join(parts) if narrow else " · ".join(parts))
        table = [group_table(self._groups, narrow)] if self._groups else []
        return Group(*table, head, self._bar)
