"""Programs per second through the socket, against a fresh interpreter each: interleaved medians.

usage: throughput.py path/to/azr-sandboxd [rounds]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import redis

PROGRAM = "def f(x): return sorted(x)"
SCRIPT = f"{PROGRAM}\nprint(f([3, 1, 2]))"
DEPTH = 64  # programs in the pipeline


def through_socket(client: redis.Redis, count: int) -> None:
    for _ in range(count // DEPTH):
        pipe = client.pipeline(transaction=False)
        for _ in range(DEPTH):
            pipe.execute_command("CALL", PROGRAM, "f", 1, "[3, 1, 2]")
        for reply in pipe.execute():
            assert reply["results"][0]["value"] == "[1, 2, 3]"


def fresh_interpreters(count: int) -> None:
    def one(_: int) -> None:
        command = [sys.executable, "-I", "-S", "-c", SCRIPT]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "[1, 2, 3]\n"

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(count)))


def rate(work: Callable[[int], None], count: int) -> float:
    begin = time.perf_counter()
    work(count)
    return count / (time.perf_counter() - begin)


def main() -> None:
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory(prefix="azr") as folder:
        words = [sys.argv[1], "--socket", f"{folder}/s"]
        daemon = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert daemon.stdout is not None
        daemon.stdout.readline()
        client = redis.Redis(unix_socket_path=f"{folder}/s", protocol=3, decode_responses=True)
        level = client.info("security")["level"]
        through_socket(client, 4 * DEPTH)
        pairs = [
            (rate(lambda n: through_socket(client, n), 16 * DEPTH), rate(fresh_interpreters, 64))
            for _ in range(rounds)
        ]
        daemon.terminate()
        daemon.wait()
    socket_rate, fresh_rate = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    print(f"azr-sandboxd ({level}): {socket_rate:,.0f} programs/s")
    print(f"fresh interpreters, 2 at a time: {fresh_rate:,.0f} programs/s")
    print(f"ratio of medians of {rounds} rounds: {socket_rate / fresh_rate:.1f}")


if __name__ == "__main__":
    main()
