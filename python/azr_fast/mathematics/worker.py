"""The process in which math-verify compares answers; `equality.py` starts it, asks and kills it.

It reads a line of JSON, `[gold, answer]`, and writes `1` or `0`. What it reads was written by
models, and what computes on it has neither a bound on time nor one on memory: a comparison that
takes longer than its CPU time or more memory than there is ends the process, which is an answer,
too. The time is CPU time, so that a busy machine gives the same answers.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import Any

CPU_SECONDS = 2.0  # of one comparison
MEMORY_BYTES = 2 << 30
READY = "ready\n"
# sympy evaluates text. math-verify gives it digits and operators alone; should a text ever get
# through as code, it finds these doors closed (https://docs.python.org/3/library/audit_events.html).
_FORBIDDEN = (
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.kill", "os.remove", "os.rename"),
    *("os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.symlink", "os.truncate", "pty.spawn"),
    *("subprocess.", "socket.", "ctypes.", "shutil.", "signal.pthread_kill", "sys.addaudithook"),
)


def main() -> None:
    """Answer until standard input ends."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no reply
    from math_verify import LatexExtractionConfig, parse, verify

    form = (LatexExtractionConfig(boxed_match_priority=0),)

    def read(text: str) -> list[Any]:
        parsed: list[Any] = parse(rf"\boxed{{{text}}}", form, parsing_timeout=None)
        return parsed

    verify(read("1"), read(r"\frac{2}{2}"), timeout_seconds=None)  # loads what is loaded late
    _confine()
    replies.write(READY)
    replies.flush()
    for line in sys.stdin:
        gold, answer = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # SIGPROF ends the process
        equal = verify(read(gold), read(answer), timeout_seconds=None)
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        replies.write(f"{int(equal)}\n")
        replies.flush()


def _confine() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event.startswith(_FORBIDDEN):
        raise PermissionError(f"{event} is refused here")


if __name__ == "__main__":
    main()
