"""How long answers take at half load, beside an echo that runs nothing.

The echo, in Python as the client is, tells what the machine, its kernel and the client take. Half
load is half of the rate that a client gets which wakes for each reply, as this one does, measured
just before: on a machine whose speed changes from minute to minute it would else be any load.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import selectors
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator

from load import READ, Job, latencies, rate

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def _answer(listener: socket.socket, request_bytes: int, reply: bytes) -> None:
    """A reply for every request, whatever it asks for; for ever."""
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    unanswered: dict[socket.socket, int] = {}  # bytes of each connection
    while True:
        for key, _ in ready.select():
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            if connection is listener:
                connection = listener.accept()[0]
                ready.register(connection, selectors.EVENT_READ)
                unanswered[connection] = 0
                continue
            data = connection.recv(READ)
            if not data:
                ready.unregister(connection)
                connection.close()
                continue
            whole, rest = divmod(unanswered[connection] + len(data), request_bytes)
            unanswered[connection] = rest
            connection.sendall(reply * whole)


@contextlib.contextmanager
def echo(job: Job) -> Iterator[str]:
    """The path of a socket where that job alone is answered at once."""
    with (
        tempfile.TemporaryDirectory(prefix="azr") as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(f"{folder}/echo")
        listener.listen()
        process = multiprocessing.get_context("fork").Process(
            target=_answer, args=(listener, len(job.request), job.mark)
        )
        process.start()
        try:
            yield f"{folder}/echo"
        finally:
            process.kill()
            process.join()


def percentiles(taken: list[float]) -> dict[str, float]:
    """In milliseconds, of seconds."""
    taken = sorted(taken)
    return {name: 1000 * taken[int(share * (len(taken) - 1))] for name, share in SHARES.items()}


@dataclasses.dataclass
class _Rounds:
    path: str
    taken: list[list[float]] = dataclasses.field(default_factory=list)

    def summary(self) -> dict[str, float]:
        rounds = [percentiles(taken) for taken in self.taken]
        medians = {f"median {n}": statistics.median(each[n] for each in rounds) for n in SHARES}
        pooled = percentiles([seconds for taken in self.taken for seconds in taken])
        return medians | {"p99 of all": pooled["p99"]}


def _half_load(path: str, job: Job) -> float:
    """Requests per second."""
    half = rate(path, job, 0.5) / 2
    time.sleep(0.5)  # what it left running is killed, and another process made
    return half


def at_half_load(path: str, job: Job, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds, of the daemon and of an echo, over rounds of a second; requests per second."""
    with echo(job) as other:
        subjects = {"daemon": _Rounds(path), "echo": _Rounds(other)}
        loads = []
        for _ in range(rounds):
            loads.append(_half_load(path, job))
            for subject in subjects.values():
                subject.taken.append(latencies(subject.path, job, loads[-1], 1.0))
    load = {"median": statistics.median(loads), "least": min(loads), "most": max(loads)}
    return {"per_second": load} | {name: each.summary() for name, each in subjects.items()}


def report(figures: dict[str, dict[str, float]]) -> str:
    def line(name: str, digits: int) -> str:
        return ", ".join(f"{key} {value:,.{digits}f}" for key, value in figures[name].items())

    return (
        f"at half load, {line('per_second', 0)} requests per second, milliseconds\n"
        f"of the daemon: {line('daemon', 2)}\nof an echo: {line('echo', 2)}"
    )
