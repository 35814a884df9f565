"""Very many mixed programs, some of them hostile, through several pipelined connections. Every
verdict and value is checked; what the daemon holds is counted before and after.

usage: soak.py path/to/azr-sandboxd [--programs N] [--connections N] [--depth N] [--seed S]
               [--hostile SHARE] [--rewind N] [--paranoid]
Ends with status 1 when an answer was wrong or something leaked. Ctrl-C shows what there is.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import random
import sys
import tempfile
import threading
import time
from typing import Any

from daemon_process import Daemon, Figures, table
from mixed_programs import HOSTILE, mixed

POOL = (
    4000  # different programs of a connection, made once: this interpreter computes their answers
)
WARM_UP = 500  # programs before the first count: buffers and pools have their size then
GROWTH_KIB = 32 << 10  # more than allocators keep: 200,000 leaks of 200 bytes are


class Tally:
    """What several connections saw, together."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.done = 0
        self.kinds: collections.Counter[str] = collections.Counter()
        self.faults: list[str] = []
        self.stop = threading.Event()

    def add(self, kinds: list[str], faults: list[str]) -> None:
        with self.lock:
            self.done += len(kinds)
            self.kinds.update(kinds)
            self.faults += faults


def worker(
    daemon: Daemon, count: int, options: argparse.Namespace, seed: str, tally: Tally
) -> None:
    rng = random.Random(seed)
    pool = [mixed(rng, options.hostile) for _ in range(min(POOL, count))]
    with daemon.connect() as client:
        while count > 0 and not tally.stop.is_set():
            jobs = rng.choices(pool, k=min(options.depth, count))
            pipe = client.pipeline(transaction=False)
            for job in jobs:
                pipe.execute_command(*job.words)
            faults = [job.fault(reply) for job, reply in zip(jobs, pipe.execute(), strict=True)]
            tally.add([job.kind for job in jobs], [fault for fault in faults if fault])
            count -= len(jobs)


def watched_worker(*arguments: Any) -> None:
    """A connection that breaks is a fault like a wrong answer."""
    try:
        worker(*arguments)
    except Exception as error:
        arguments[-1].add([], [f"{type(error).__name__}: {error}"])
        arguments[-1].stop.set()


def show(tally: Tally, total: int, begin: float) -> None:
    rate = tally.done / max(time.perf_counter() - begin, 1e-9)
    left = (total - tally.done) / max(rate, 1e-9)
    text = (
        f"{tally.done:,} of {total:,}, {rate:,.0f}/s, {len(tally.faults)} wrong, {left:,.0f} s left"
    )
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"{text:<72}", end=end, file=sys.stderr, flush=True)


def load(daemon: Daemon, total: int, options: argparse.Namespace, name: str) -> tuple[Tally, float]:
    tally = Tally()
    share, rest = divmod(total, options.connections)
    threads = [
        threading.Thread(
            target=watched_worker,
            args=(daemon, share + (i < rest), options, f"{name}{options.seed}.{i}", tally),
        )
        for i in range(options.connections)
    ]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    try:
        waited = 0
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.2)
            waited += 1
            if waited % (5 if sys.stderr.isatty() else 150) == 0:
                show(tally, total, begin)
    except KeyboardInterrupt:
        tally.stop.set()
    for thread in threads:
        thread.join()
    return tally, time.perf_counter() - begin


def leaks(before: Figures, after: Figures) -> list[str]:
    """What is more after than before, for more reason than an allocator's."""
    found = []
    for field in dataclasses.fields(Figures):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if new > old + (GROWTH_KIB if field.name.endswith("_kib") else 0):
            found.append(f"{field.name} grew from {old:,} to {new:,}")
    return found


def report(
    tally: Tally, seconds: float, before: Figures, after: Figures, rest: dict[str, Any]
) -> bool:
    faults = tally.faults + leaks(before, after)
    rows: list[list[object]] = [["", "before", "after"]]
    for field in dataclasses.fields(Figures):
        name = field.name.replace("_", " ")
        rows.append([name, getattr(before, field.name), getattr(after, field.name)])
    hostile = sum(tally.kinds[kind] for kind in HOSTILE)
    print(table(rows))
    print(
        f"{tally.done:,} programs, {hostile:,} of them hostile, in {seconds:,.0f} s "
        f"({tally.done / seconds:,.0f}/s); {len(tally.faults)} wrong answers"
    )
    for fault in faults[:20]:
        print(fault)
    figures = {
        "programs": tally.done,
        "hostile": hostile,
        "seconds": round(seconds, 1),
        "wrong": len(tally.faults),
        "faults": faults[:20],
        "kinds": dict(sorted(tally.kinds.items())),
        "before": dataclasses.asdict(before),
        "after": dataclasses.asdict(after),
        **rest,
    }
    print(json.dumps(figures))
    return not faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("daemon", help="path of azr-sandboxd")
    parser.add_argument("--programs", type=int, default=200_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--depth", type=int, default=64, help="programs in each pipeline")
    parser.add_argument("--zygotes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hostile", type=float, default=0.01, metavar="SHARE")
    parser.add_argument("--rewind", type=int, default=0, help="rewind zygotes")
    parser.add_argument("--paranoid", action="store_true", help="they compare everything each time")
    options = parser.parse_args()
    words = ["--zygotes", str(options.zygotes), "--rewind", str(options.rewind)]
    words += ["--paranoid"] if options.paranoid else []
    with tempfile.TemporaryDirectory(prefix="azr") as folder:
        daemon = Daemon(options.daemon, f"{folder}/s", *words)
        load(daemon, WARM_UP, options, "warm")
        before = Figures.of(daemon)
        tally, seconds = load(daemon, options.programs, options, "")
        after = Figures.of(daemon)
        with daemon.connect() as client:
            rest = {"seed": options.seed, "rewind": client.info("rewind")}
        status = daemon.end()
    if status != 0:
        tally.faults.append(f"the daemon ended with status {status}")
    return 0 if report(tally, seconds, before, after, rest) else 1


if __name__ == "__main__":
    sys.exit(main())
