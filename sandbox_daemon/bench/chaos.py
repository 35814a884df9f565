"""Kills zygotes, clients and the broker itself at random times under load, with kill -9. Clients
that live on check every answer: a job is lost only with its zygote, as `crash`, and no more jobs
than zygotes were killed. A new daemon takes over the dead one's socket and serves at once.

usage: chaos.py path/to/azr-sandboxd [--kills N] [--pause SECONDS] [--seed S]
Ends with status 1 when anything was not as it should be.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import redis
from daemon_process import Daemon, connect, descriptors, family, parents, table, zygotes
from mixed_programs import Job, mixed

DEPTH = 16  # programs in a pipeline
PATIENCE = 120.0  # for what must come true, on a busy machine


@dataclasses.dataclass
class Seen:
    """What the clients that live on were answered."""

    right: int = 0
    lost: int = 0  # answered `crash`, because the zygote died
    broken: int = 0  # pipelines cut off by the end of the broker
    faults: list[str] = dataclasses.field(default_factory=list)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def add(self, jobs: list[Job], replies: list[Any]) -> None:
        with self.lock:
            for job, reply in zip(jobs, replies, strict=True):
                fault = job.fault(reply)
                died = reply["verdict"] == "crash" and reply["message"] == "its zygote died"
                self.right += fault is None
                self.lost += fault is not None and died
                if fault is not None and not died:
                    self.faults.append(fault)


def ask(path: str, rng: random.Random) -> tuple[list[Job], list[Any]]:
    """One pipeline of mixed programs through a connection of its own."""
    jobs = [mixed(rng) for _ in range(DEPTH)]
    with connect(path) as client:
        pipe = client.pipeline(transaction=False)
        for job in jobs:
            pipe.execute_command(*job.words)
        return jobs, pipe.execute()


def steady_client(path: str, seed: str, seen: Seen, stop: threading.Event) -> None:
    rng = random.Random(seed)
    while not stop.is_set():
        try:
            seen.add(*ask(path, rng))
        except redis.ConnectionError:
            with seen.lock:
                seen.broken += 1
            time.sleep(0.01)


def doomed_client(path: str, seed: str) -> None:
    """Its own process, to be killed in the middle of whatever it does."""
    rng = random.Random(seed)
    while True:
        try:
            ask(path, rng)
        except redis.ConnectionError:
            time.sleep(0.01)


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Chaos:
    def __init__(self, executable: str, folder: str, seed: int, zygotes: int, rewind: int):
        self.executable = executable
        self.path = f"{folder}/s"
        self.seed = seed
        self.zygotes, self.rewind = zygotes, rewind
        self.rng = random.Random(seed)
        self.kills = {"zygote": 0, "client": 0, "broker": 0}
        self.seen = Seen()
        self.stop = threading.Event()
        self.restarts_s: list[float] = []
        self.clients = 0
        self.daemon = self.start_daemon()
        self.descriptors = descriptors(self.daemon.pid)
        self.doomed = [self.start_doomed() for _ in range(2)]
        self.threads = [
            threading.Thread(
                target=steady_client, args=(self.path, f"{seed}.{i}", self.seen, self.stop)
            )
            for i in range(2)
        ]
        for thread in self.threads:
            thread.start()

    def start_daemon(self) -> Daemon:
        words = ("--zygotes", str(self.zygotes), "--rewind", str(self.rewind))
        return Daemon(self.executable, self.path, *words)

    def start_doomed(self) -> multiprocessing.process.BaseProcess:
        self.clients += 1
        context = multiprocessing.get_context("spawn")
        seed = f"{self.seed}.doomed.{self.clients}"
        process = context.Process(target=doomed_client, args=(self.path, seed), daemon=True)
        process.start()
        return process

    def fault(self, text: str) -> None:
        with self.seen.lock:
            self.seen.faults.append(text)

    def kill_zygote(self) -> None:
        # Only what is a child of the broker right now: never another process of the same number.
        if eventually(lambda: self.children() != []):
            os.kill(self.rng.choice(self.children()), signal.SIGKILL)
            self.kills["zygote"] += 1
        else:
            self.fault("zygotes are not replaced")

    def children(self) -> list[int]:
        return sorted(pid for pid, parent in parents().items() if parent == self.daemon.pid)

    def kill_client(self) -> None:
        at = self.rng.randrange(len(self.doomed))
        self.doomed[at].kill()
        self.doomed[at].join()
        self.doomed[at] = self.start_doomed()
        self.kills["client"] += 1

    def kill_broker(self) -> None:
        members = family(self.daemon.pid)
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.kills["broker"] += 1
        begin = time.perf_counter()
        self.daemon = self.start_daemon()
        with self.daemon.connect() as client:
            reply = client.execute_command("CALL", "def f(x): return x", "f", 1, "1")
        self.restarts_s.append(time.perf_counter() - begin)
        if reply["results"][0]["value"] != "1":
            self.fault(f"the first answer of a new daemon was {reply}")
        if not eventually(lambda: not members & parents().keys()):
            self.fault("processes of a dead daemon live on")

    def run(self, kills: int, pause: float) -> None:
        plan = ["zygote"] * (kills - kills // 3 - kills // 8) + ["client"] * (kills // 3)
        plan += ["broker"] * (kills // 8)
        self.rng.shuffle(plan)
        for done, what in enumerate(plan):
            time.sleep(self.rng.uniform(0, 2 * pause))
            getattr(self, f"kill_{what}")()
            if sys.stderr.isatty() or (done + 1) % 50 == 0:
                print(f"{done + 1} of {kills} kills", file=sys.stderr, flush=True)

    def end(self) -> None:
        """When all clients are gone the daemon is as it was at first."""
        self.stop.set()
        for thread in self.threads:
            thread.join()
        for process in self.doomed:
            process.kill()
            process.join()
        if not eventually(self.at_rest):
            count = descriptors(self.daemon.pid)
            self.fault(f"not at rest: {count} descriptors, {self.descriptors} at first")
        if self.seen.lost > self.kills["zygote"]:
            self.fault(f"{self.seen.lost} jobs lost with {self.kills['zygote']} zygotes")
        if self.daemon.end() != 0:
            self.fault("the daemon did not end cleanly")

    def at_rest(self) -> bool:
        with self.daemon.connect() as client:
            states = [zygote["state"] for zygote in zygotes(client)]
            alone = client.info("clients")["connected_clients"] == 1
        processes = len(family(self.daemon.pid))
        return (
            alone
            and states == ["idle"] * (self.zygotes + self.rewind)
            and processes == 1 + self.zygotes + 2 * self.rewind  # one that runs programs each
            and descriptors(self.daemon.pid) == self.descriptors
        )

    def report(self, seconds: float) -> bool:
        seen = self.seen
        longest = max(self.restarts_s, default=0.0)
        rows: list[list[object]] = [["kill -9", "times"], *map(list, self.kills.items())]
        rows += [["right answers", seen.right], ["jobs lost with a zygote", seen.lost]]
        rows += [["pipelines cut off with a broker", seen.broken], ["faults", len(seen.faults)]]
        rows += [["longest restart to first answer, ms", round(1000 * longest)]]
        print(table(rows))
        for fault in seen.faults[:20]:
            print(fault)
        figures = {
            "seed": self.seed,
            "seconds": round(seconds, 1),
            "kills": self.kills,
            "right": seen.right,
            "lost": seen.lost,
            "broken": seen.broken,
            "restarts_ms": [round(1000 * s) for s in self.restarts_s],
            "faults": seen.faults[:20],
        }
        print(json.dumps(figures))
        return not seen.faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("daemon", help="path of azr-sandboxd")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.5, help="mean seconds between two kills")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--zygotes", type=int, default=2)
    parser.add_argument("--rewind", type=int, default=0, help="rewind zygotes")
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="azr") as folder:
        chaos = Chaos(options.daemon, folder, options.seed, options.zygotes, options.rewind)
        try:
            chaos.run(options.kills, options.pause)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
        finally:
            chaos.end()
    return 0 if chaos.report(time.perf_counter() - begin) else 1


if __name__ == "__main__":
    sys.exit(main())
