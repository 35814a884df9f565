"""How long a run has gone on, and how long it may still take."""

from __future__ import annotations

import time

from azr_fast.config.schema import Config
from azr_fast.observe.text import duration


class Clock:
    """Seconds of a run by time.monotonic(), and an estimate of those to come."""

    def __init__(self, config: Config, step: int = 0) -> None:
        self.step = step  # the last one that is over
        self.steps = config.run.steps
        self._limit = config.run.time_limit_minutes * 60.0 or float("inf")
        self._started = self._limit_from = self._last = time.monotonic()
        self._timed = 0  # steps whose length is known
        self._seconds = 0.0
        self._phase_from = self._started

    def tick(self, step: int) -> None:
        """A step is over."""
        now = time.monotonic()
        self._seconds += now - self._last
        self._timed += 1
        self._last, self.step = now, step

    def phase(self, name: str) -> None:
        """A phase begins. Loading and seeding are no part of a step, loading none of the limit."""
        self._phase_from = time.monotonic()
        if name == "load":
            self._limit_from = float("inf")
        elif self._limit_from == float("inf"):
            self._limit_from = self._phase_from
        if name == "play" and not self._timed:
            self._last = self._phase_from

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def in_phase(self) -> float:
        """Seconds since the phase began."""
        return time.monotonic() - self._phase_from

    def remaining(self) -> float | None:
        """Seconds until the last step or the time limit, whichever comes first; negative when that
        should have come. None: unknown."""
        now = time.monotonic()
        by_steps = float("inf")
        if self._timed:
            length = self._seconds / self._timed
            by_steps = (self.steps - self.step) * length - (now - self._last)
        left = min(by_steps, self._limit - max(0.0, now - self._limit_from))
        return None if left == float("inf") else left

    def outlook(self) -> str:
        """What is left, in words. Never a time that is over: a step that is longer than the others,
        and the work that a time limit waits for, have no known end."""
        left = self.remaining()
        if left is None:
            return "time left unknown yet"
        if left >= 1.0:
            return f"about {duration(left)} left"
        if self._limit - max(0.0, time.monotonic() - self._limit_from) <= 1.0:
            return "the time is up: ending"
        return "longer than the steps before"
