"""Stopping cleanly: the first signal asks, the second insists."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handled_by(handler: Handler, numbers: Sequence[signal.Signals] = SIGNALS) -> Iterator[None]:
    """Give the signals to `handler` inside the context.

    SIGHUP that is ignored already, as it is under nohup(1), stays ignored. Outside the main thread,
    which alone gets signals, nothing changes.
    """
    chosen = numbers if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in chosen}
    if before.get(signal.SIGHUP) is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """A handler for as long as there is nothing to save: any of the signals acts as Ctrl-C does."""
    _act_by_default()
    raise KeyboardInterrupt


def leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """A handler for while modules are imported: the process ends at once, as after Ctrl-C.

    An exception in the midst of a compiled module's start can end in a panic there, with lines of
    its own and another exit code.
    """
    with suppress(OSError):  # stderr may be closed
        os.write(2, b"azr-fast: stopped\n")
    os._exit(130)


def _act_by_default(
    on_interrupt: Handler | signal.Handlers = signal.default_int_handler,
) -> None:
    """From now on a signal ends the process; what Ctrl-C does may be chosen, and is to raise
    KeyboardInterrupt unless it is.

    A second SIGHUP is ignored: when a terminal closes, the shell sends one and the kernel another.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
    signal.signal(signal.SIGINT, on_interrupt)


class Stop:
    """Whether a signal has asked the run to stop; called, it tells."""

    def __init__(
        self, on_second_interrupt: Handler | signal.Handlers = signal.default_int_handler
    ) -> None:
        self._on_second_interrupt = on_second_interrupt
        self._asked, self._over = threading.Event(), threading.Event()
        self._at_once = self._to_announce = False

    def __call__(self) -> bool:
        """Whether a signal has asked the run to stop."""
        return self._asked.is_set()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, where there is nothing to save yet, the signal raises KeyboardInterrupt.

        A library may hide that, or make an error of its own of it: it is raised at the end then.
        """
        self._at_once = True
        try:
            yield
        except BaseException:
            if self():
                raise KeyboardInterrupt from None
            raise
        finally:
            self._at_once = False
        if self():
            raise KeyboardInterrupt

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of the first signal."""
        _act_by_default(self._on_second_interrupt)
        self._asked.set()
        if self._at_once:
            raise KeyboardInterrupt
        self._to_announce = True
        self._over.set()

    @contextmanager
    def announced_by(self, on_request: Callable[[], None]) -> Iterator[None]:
        """Call `on_request` when a signal asks, in a thread of its own.

        It may print, and a handler may interrupt a print of the same thread.
        """

        def announce() -> None:
            self._over.wait()
            if self._to_announce:
                on_request()

        announcer = threading.Thread(target=announce, name="stop", daemon=True)
        announcer.start()
        try:
            yield
        finally:
            self._over.set()
            announcer.join()


@contextmanager
def stop_on_signals(
    on_request: Callable[[], None],
    on_second_interrupt: Handler | signal.Handlers = signal.default_int_handler,
) -> Iterator[Stop]:
    """Inside the context, the first signal makes what is yielded true and calls `on_request`.

    From then on signals act as they do by default, or Ctrl-C as `on_second_interrupt` says; after
    the context, as they did before it.
    """
    stop = Stop(on_second_interrupt)
    with stop.announced_by(on_request), handled_by(stop.ask):
        yield stop
