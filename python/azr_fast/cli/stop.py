"""Stopping cleanly: the first Ctrl-C or SIGTERM asks, the second insists."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals(on_request: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Inside the context, the first signal makes the yielded function true and calls `on_request`.

    From then on, and outside the context, signals act as they did before. `on_request` may print:
    it runs in a thread of its own, because a handler may interrupt a print of the same thread.
    """
    asked, woken = threading.Event(), threading.Event()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(_number: int, _frame: FrameType | None) -> None:
        restore()
        asked.set()
        woken.set()

    def announce() -> None:
        woken.wait()
        if asked.is_set():
            on_request()

    for number in SIGNALS:
        signal.signal(number, ask)
    announcer = threading.Thread(target=announce, name="stop", daemon=True)
    announcer.start()
    try:
        yield asked.is_set
    finally:
        restore()
        woken.set()
        announcer.join()
