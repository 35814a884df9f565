"""Are two answers the same number, expression or set? math-verify says so, in a process apart."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from functools import lru_cache
from typing import Self

from azr_fast.errors import UserError
from azr_fast.mathematics.numerals import is_balanced, is_integer, plain
from azr_fast.mathematics.worker import READY

LONGEST = 1000  # characters of an answer that algebra is tried on; longer ones are compared as text
# Bounds on hangs, which a busy machine must not reach: CPU time ends a comparison, by worker.py.
_STARTING_SECONDS = _WALL_SECONDS = 600.0
_REMEMBERED = 1 << 16


class Equality:
    """Compares answers, and says which of several are equal. A context manager; thread-safe.

    Answers may be hostile: a comparison that hangs or takes too much memory ends its process, is
    counted in `ended`, and counts as different. The process is started when it is first needed.
    """

    def __init__(self) -> None:
        self.compared = 0  # by algebra
        self.ended = 0  # comparisons that ended their process
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._algebra = lru_cache(_REMEMBERED)(self._ask)
        self._hopeless: set[str] = set()  # what ends the process on its own: not tried again

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def equal(self, gold: str, answer: str) -> bool:
        """Whether the answer is right where `gold` is. Raises UserError without math-verify."""
        one, other = plain(gold), plain(answer)
        if not one or not other:
            return False
        if one == other:
            return True
        if is_integer(one) and is_integer(other):
            return False
        if max(len(one), len(other)) > LONGEST or not (is_balanced(one) and is_balanced(other)):
            return False
        return self._algebra(one, other)

    def classes(self, answers: Sequence[str | None]) -> list[int | None]:
        """A number for each answer, the same for equal ones, counted from 0 by first appearance.
        None, which is no answer, has none."""
        first: list[str] = []  # the first answer of each class
        known: dict[str, int] = {}
        for answer in answers:
            if answer is not None and plain(answer) not in known:
                known[plain(answer)] = self._class(answer, first)
        return [None if answer is None else known[plain(answer)] for answer in answers]

    def close(self) -> None:
        """End the process. Idempotent; a later comparison starts another."""
        with self._lock:
            self._end()

    def _class(self, answer: str, first: list[str]) -> int:
        """Its class among these, or a new one. math-verify reads gold and answer differently, and
        none of these is gold: either way will do."""
        for number, other in enumerate(first):
            if self.equal(other, answer) or self.equal(answer, other):
                return number
        first.append(answer)
        return len(first) - 1

    def _ask(self, gold: str, answer: str) -> bool:
        with self._lock:
            if not self._hopeless.isdisjoint((gold, answer)):
                return False
            self.compared += 1
            reply = self._reply(gold, answer)
            if reply is None:
                self.ended += 1
                # Beside a harmless one, which of the two is it?
                bad = next((one for one in (answer, gold) if self._reply("1", one) is None), None)
                self._hopeless |= {bad} if bad is not None else set()
            return reply == "1\n"

    def _reply(self, gold: str, answer: str) -> str | None:
        """What the process says; None where it ended over it."""
        process = self._process or self._start()
        reply = _exchange(process, json.dumps([gold, answer]), _WALL_SECONDS)
        if reply is None:
            self._end()
        return reply

    def _start(self) -> subprocess.Popen[bytes]:
        require_math_verify()
        # A Python of its own with nothing of the environment but the way to our modules.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "azr_fast.mathematics.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LC_ALL": "C.UTF-8"},
            process_group=0,  # Ctrl-C is for the trainer
        )
        self._finalizer = weakref.finalize(self, _kill, self._process)  # where nobody closes
        if _line(self._process, _STARTING_SECONDS) != READY:
            self._end()
            raise UserError("math-verify does not start: install azr-fast's packages again")
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._finalizer()
            self._process = None


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def require_math_verify() -> None:
    """Raise UserError where math-verify is not installed."""
    if importlib.util.find_spec("math_verify") is None:
        raise UserError("math-verify is not installed: pip install 'azr-fast[cpu]' has it")


def _exchange(process: subprocess.Popen[bytes], line: str, seconds: float) -> str | None:
    """A line for a line; None where the process ended or says nothing."""
    assert process.stdin is not None
    try:
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    return _line(process, seconds)


def _line(process: subprocess.Popen[bytes], seconds: float) -> str | None:
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], seconds)[0]:
        return None
    return process.stdout.readline().decode() or None
