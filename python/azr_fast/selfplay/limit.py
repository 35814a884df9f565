"""When a run is to stop: because it was asked, or because its time is up."""

from __future__ import annotations

import time
from collections.abc import Callable


class TimeLimit:
    """Called, it tells whether to stop. The loop asks it between steps, the decoder between tokens,
    so that seeding and a long step end in time on a busy machine too. An update that has begun is
    finished: what it learns from has all been paid for.
    """

    def __init__(self, minutes: float, asked: Callable[[], bool]) -> None:
        self._seconds = minutes * 60 or float("inf")
        self._asked = asked
        self._end = float("inf")

    def begin(self) -> None:
        """Everything is loaded: the time runs."""
        self._end = time.monotonic() + self._seconds

    def __call__(self) -> bool:
        """Whether the run was asked to stop, or its time is up."""
        return self._asked() or time.monotonic() >= self._end
