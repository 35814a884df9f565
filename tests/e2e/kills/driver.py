"""Runs `azr-fast` again and again from one process that has imported it, and kills it on the way.

Every line of standard input is a JSON object: `words` of the command, the `log` that its output is
added to, and the `moment` of its death or null. A moment is ["time", seconds], ["phase", name, which,
seconds] (so long after the phase of that name was begun for the so-many-th time) or ["write",
number] (before the so-many-th change of a file or folder). Every line of standard output answers
with `killed`, the exit `code`, the `phases` as pairs of name and seconds, the `seconds` in all, and
how many `writes` were begun.
"""

import json
import mmap
import os
import select
import signal
import sys
import time
import traceback

import azr_fast.cli.commands
import azr_fast.cli.endings
import azr_fast.session  # noqa: F401 - what takes seconds is imported once
from azr_fast.cli.main import main

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "sqlite3.connect"}


class Child:
    """One run of the command, in a process of its own."""

    def __init__(self, words, log, moment):
        self.kind, *self.when = moment or ["never"]
        self.log = log
        self.writes = mmap.mmap(-1, 8)
        self.phases = []
        self.output, output = os.pipe()
        self.started = time.monotonic()
        self.pid = os.fork()
        if not self.pid:
            self.become(words, output)
        os.close(output)

    def become(self, words, output):
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.addaudithook(self.look)
        code = 70
        try:
            code = main(words)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)

    def look(self, event, arguments):
        """Count changes; die at the one that was asked for."""
        if event in CHANGES or (event == "open" and is_write(arguments)):
            count = int.from_bytes(self.writes[:8], "little") + 1
            self.writes[:8] = count.to_bytes(8, "little")
            if self.kind == "write" and count == self.when[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    def result(self):
        """Watch it to its end, which may be its death."""
        death = self.started + self.when[0] if self.kind == "time" else float("inf")
        with open(self.output, "rb", buffering=0) as output, open(self.log, "ab") as log:
            while True:
                left = max(0.0, min(death - time.monotonic(), 60.0))
                if select.select([output], [], [], left)[0]:
                    if not (said := output.read(65536)):
                        break
                    log.write(said)
                    death = min(death, self.death_after(said.decode(errors="replace")))
                if time.monotonic() >= death:
                    os.kill(self.pid, signal.SIGKILL)
                    death = float("inf")
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return {
            "killed": code == -signal.SIGKILL,
            "code": code,
            "phases": self.phases,
            "seconds": time.monotonic() - self.started,
            "writes": int.from_bytes(self.writes[:8], "little"),
        }

    def death_after(self, said):
        """When to kill, given what was just said."""
        for line in said.splitlines():
            name = line.strip()
            if line.startswith("  ") and name.isalpha():
                now = time.monotonic()
                self.phases.append([name, now - self.started])
                seen = sum(phase == name for phase, _ in self.phases)
                if self.kind == "phase" and self.when[:2] == [name, seen]:
                    return now + self.when[2]
        return float("inf")


def is_write(arguments):
    _, mode, flags = arguments
    return (
        bool(flags & (os.O_WRONLY | os.O_RDWR)) if isinstance(flags, int) else "w" in (mode or "")
    )


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(Child(**asked).result()), flush=True)
