"""How long answers take at half load, beside an echo that runs nothing.

The echo tells what the machine, its kernel and this client take. Half load is half of the rate that
a client gets which wakes for each reply, as this one does, measured just before: on a machine whose
speed changes from minute to minute it would else be any load.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import selectors
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator

from load import READ, Job, latencies, rate

AT = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def _answer(listener: socket.socket, request_bytes: int, reply: bytes) -> None:
    """A reply for every request, whatever it asks for; for ever."""
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ, None)
    while True:
        for key, _ in ready.select():
            if key.data is None:
                ready.register(listener.accept()[0], selectors.EVENT_READ, [0])
                continue
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            data = connection.recv(READ)
            if not data:
                ready.unregister(connection)
                connection.close()
                continue
            whole, key.data[0] = divmod(key.data[0] + len(data), request_bytes)
            connection.sendall(reply * whole)


@contextlib.contextmanager
def echo(job: Job) -> Iterator[str]:
    """The path of a socket where that job alone is answered at once."""
    with tempfile.TemporaryDirectory(prefix="azr") as folder, socket.socket(socket.AF_UNIX) as at:
        at.bind(f"{folder}/echo")
        at.listen()
        words = (at, len(job.request), job.mark)
        process = multiprocessing.get_context("fork").Process(target=_answer, args=words)
        process.start()
        try:
            yield f"{folder}/echo"
        finally:
            process.kill()
            process.join()


def percentiles(taken: list[float]) -> dict[str, float]:
    """In milliseconds, of seconds."""
    taken = sorted(taken)
    return {name: 1000 * taken[int(share * (len(taken) - 1))] for name, share in AT.items()}


def _summary(rounds: list[dict[str, float]]) -> dict[str, float]:
    medians = {name: statistics.median(figures[name] for figures in rounds) for name in AT}
    return medians | {"worst p99": max(figures["p99"] for figures in rounds)}


def _half_load(path: str, job: Job) -> float:
    """Requests per second; waits until the daemon has killed what the measurement left running."""
    half = rate(path, job, 0.5, pause=0) / 2
    time.sleep(0.3)
    return half


def latency(path: str, job: Job, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds, of the daemon and of an echo: medians of rounds of a second."""
    with echo(job) as other:
        paths = {"daemon": path, "echo": other}
        seen: dict[str, list[dict[str, float]]] = {name: [] for name in paths}
        for _ in range(rounds):
            per_second = _half_load(path, job)
            for name, at in paths.items():
                seen[name].append(percentiles(latencies(at, job, per_second, 1.0)))
    return {name: _summary(figures) for name, figures in seen.items()}


def report(figures: dict[str, dict[str, float]]) -> str:
    return "\n".join(
        f"latency at half load, {name}: " + ", ".join(f"{k} {v:.2f} ms" for k, v in each.items())
        for name, each in figures.items()
    )
