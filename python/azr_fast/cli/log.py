"""Our own log messages, as lines for people."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class _Lines(logging.Handler):
    """Prints above a live display of the same console; never wraps."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(record.getMessage(), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def show_log(console: Console) -> Iterator[None]:
    """Print what azr_fast logs, from INFO up, inside the context. Libraries stay as they are."""
    logger, handler = logging.getLogger("azr_fast"), _Lines(console)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
