"""One thing at a time, done in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Writer:
    """Does in the background what it is given. What that raises is raised by the next call."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Begin `work`, after what was begun before it has ended."""
        self.wait()
        # A daemon, so that who insists on stopping need not wait for a slow disk.
        self._thread = threading.Thread(target=self._do, args=(work,), name="writer", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what the work raised that has ended."""
        if self._thread and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Wait for the end of the work; raise what it raised."""
        if self._thread:
            self._thread.join()
            self._thread = None
        failure, self._failure = self._failure, None
        if failure:
            raise failure

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:  # raised again in the thread that asked
            self._failure = failure
