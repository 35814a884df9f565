"""Run a long command for `make`, and show how far it is.

    show_progress.py TITLE [--count FILE] [--attempt] -- COMMAND...

On a terminal the newest line of the command is shown in place. Elsewhere there is one line at the
start, one every 30 s with the time of day, and one at the end. With --count the packages that FILE
locks are counted as pip comes to them. If the command fails, the end of what it said is shown, but
for --attempt, which may fail; its exit status is ours.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

EVERY_SECONDS = 30.0
KEPT = 200  # lines that are shown when the command fails
PACKAGE = re.compile(r"(?:Collecting|Processing|Requirement already satisfied:) ([^\s=<>]+)")
DOWNLOAD = re.compile(r"Progress (\d+) of (\d+)")  # pip install --progress-bar raw


class Progress:
    """What a command has said, and how that is shown."""

    def __init__(self, title: str, packages: int = 0, may_fail: bool = False) -> None:
        self.title = title
        self._may_fail = may_fail
        self.last = ""
        self.said: deque[str] = deque(maxlen=KEPT)
        self._packages = packages
        self._seen: set[str] = set()
        self._started = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._over = threading.Event()

    def take(self, line: str) -> None:
        """A line of the command."""
        if download := DOWNLOAD.fullmatch(line):
            done, size = map(int, download.groups())
            self.last = f"{self.last.partition(' · ')[0]} · {done >> 20} of {size >> 20} MB"
        elif line:
            self.said.append(line)
            self.last = line
            if package := PACKAGE.match(line):
                self._seen.add(package[1])
        if self._terminal:
            self._draw()

    def state(self) -> str:
        """What is done, since when, and what is left, where that is known."""
        minutes, seconds = divmod(round(time.monotonic() - self._started), 60)
        counted = f"{len(self._seen)} of {self._packages} packages, " if self._packages else ""
        return f"{self.title}: {counted}for {minutes}:{seconds:02d}; {self.last}"

    def _draw(self) -> None:
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{self.state()[:width]}", end="", flush=True)

    def tell(self) -> None:
        """Lines for a log, until `end`."""
        while not self._over.wait(EVERY_SECONDS):
            print(f"{time.strftime('%H:%M:%S')} {self.state()}", flush=True)

    def end(self, code: int) -> None:
        """The last word; all that is known when it failed."""
        self._over.set()
        if self._terminal:
            print("\r\x1b[K", end="")
        minutes, seconds = divmod(round(time.monotonic() - self._started), 60)
        if code and not self._may_fail:
            print("\n".join(self.said))
        word = f"failed with exit status {code}" if code else "done"
        print(f"{self.title}: {word} after {minutes}:{seconds:02d}", flush=True)


def run(progress: Progress, command: list[str]) -> int:
    """Run it; its exit status."""
    teller = threading.Thread(target=progress.tell, daemon=True)
    if not sys.stdout.isatty():
        print(f"{time.strftime('%H:%M:%S')} {progress.title}", flush=True)
        teller.start()
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "NINJA_STATUS": "[%f/%t, %p] "}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            progress.take(line.strip())
    progress.end(process.returncode)
    return process.returncode


def main(words: list[str]) -> int:
    """The command line that the module's docstring shows."""
    split = words.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("title")
    parser.add_argument("--count", type=Path)
    parser.add_argument("--attempt", action="store_true")
    options = parser.parse_args(words[:split])
    lines = options.count.read_text(encoding="utf-8").splitlines() if options.count else []
    packages = sum(1 for line in lines if line and not line.startswith(("#", "-")))
    try:
        return run(Progress(options.title, packages, options.attempt), words[split + 1 :])
    except KeyboardInterrupt:
        print(f"\n{options.title}: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
