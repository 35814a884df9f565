"""What another client's PING takes while one sends the worst arguments of each command.

    python benchmarks/sandbox_worst_inputs.py [azr-sandboxd]

A row per command: the longest and the median PING of the other client in milliseconds, and the
longest turn of the broker's loop, which is what a PING waits for at most apart from the processor.
On a machine whose cores are busy the first column is that of the scheduler as well.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import redis

sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox_daemon"))

from tests.worst_inputs import WORST, Worst, ask, connect

ROUNDS = 5
BETWEEN_SECONDS = 0.001


class Daemon:
    """One that serves while the context is entered."""

    def __init__(self, executable: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="azr")
        self.path = f"{self._folder.name}/s"
        words = [executable, "--socket", self.path, "--zygotes", "2"]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Daemon:
        assert self._process.stdout is not None
        if not self._process.stdout.readline().startswith("ready"):
            raise SystemExit("the daemon did not start: what it says is above")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        self._process.wait(60)
        self._folder.cleanup()

    def client(self) -> redis.Redis:
        """Another client."""
        return redis.Redis(unix_socket_path=self.path, decode_responses=True)


def pings(client: redis.Redis, over: threading.Event) -> list[float]:
    """Milliseconds of each, until it is over."""
    taken = []
    while not over.is_set():
        begin = time.perf_counter()
        client.ping()
        taken.append(1000 * (time.perf_counter() - begin))
        time.sleep(BETWEEN_SECONDS)
    return taken


def measure(executable: str, worst: Worst) -> tuple[float, float, float]:
    """The longest PING, the median one, the longest turn; milliseconds."""
    with Daemon(executable) as daemon, daemon.client() as client:
        client.execute_command("CALL", "def f(): pass", "f", 1, "")
        taken: list[float] = []
        over = threading.Event()
        other = threading.Thread(target=lambda: taken.extend(pings(client, over)))
        other.start()
        for _ in range(ROUNDS):
            with connect(daemon.path) as raw:
                ask(raw, worst)
        over.set()
        other.join()
        turn = float(client.info("latency")["turn_us"]["max"]) / 1000
        return max(taken), statistics.median(taken), turn


def main() -> None:
    executable = sys.argv[1] if len(sys.argv) > 1 else "azr-sandboxd"
    print(f"{'command':34}{'longest':>10}{'median':>10}{'turn':>10}   ms")
    for worst in [Worst("nothing", b""), *WORST]:
        longest, median, turn = measure(executable, worst)
        print(f"{worst.name:34}{longest:10.2f}{median:10.2f}{turn:10.2f}", flush=True)


if __name__ == "__main__":
    main()
