"""A client that costs little: requests made once, replies counted by the values they must hold."""

from __future__ import annotations

import dataclasses
import itertools
import select
import socket
import time
from collections import deque

DEPTH = 128  # requests in the pipeline
# Seconds from look to look of a client that has a batch of requests. One that wakes for each reply
# makes the daemon wake for each request, which costs a quarter of the rate of small programs.
BATCH = 0.001
READ = 1 << 16  # bytes; more would be mapped and unmapped for each read
CONNECTIONS = 16  # of a load that does not wait, and of a backlog


@dataclasses.dataclass(frozen=True)
class Job:
    """A request and the values that its reply holds, each once."""

    words: tuple[str, ...]
    value: str
    values: int = 1

    @property
    def request(self) -> bytes:
        words = [word.encode() for word in self.words]
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)

    @property
    def mark(self) -> bytes:
        """What stands in a reply for each value, and nowhere else."""
        value = self.value.encode()
        return b"$5\r\nvalue\r\n$%d\r\n%b\r\n" % (len(value), value)


def call(program: str, argument: str, value: str, *options: str, cases: int = 1) -> Job:
    words = ("CALL", program, "f", str(cases), *[argument] * cases, *options)
    return Job(words, value, cases)


class Connection:
    """Counts the values of one job's replies as they come in."""

    def __init__(self, path: str, job: Job):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)  # a wrong answer holds no value: it is missed for ever
        self._socket.connect(path)
        self._request, self._mark, self._values = job.request, job.mark, job.values
        self._rest = b""
        self._seen = 0

    def send(self, count: int) -> None:
        self._socket.sendall(self._request * count)

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> int:
        """Waits for replies; how many were completed. Marks may be cut by a read."""
        data = self._socket.recv(READ)
        if not data:
            raise SystemExit("the daemon closed the connection")
        data = self._rest + data
        before = self._seen // self._values
        self._seen += data.count(self._mark)
        whole = data.rfind(self._mark) + len(self._mark) if self._mark in data else 0
        self._rest = data[max(whole, len(data) - len(self._mark)) :]
        return self._seen // self._values - before

    def close(self) -> None:
        self._socket.close()


def rate(path: str, job: Job, seconds: float, pause: float = 0) -> float:
    """Jobs per second with a full pipeline."""
    return _rate(Connection(path, job), seconds, pause)


def rate_of_many(path: str, jobs: list[Job], seconds: float, pause: float = 0) -> float:
    """The same of different jobs, one after another and round again; each has one value."""
    return _rate(_Marks(path, jobs), seconds, pause)


def rate_with_backlog(path: str, job: Job, waiting: int, seconds: float, pause: float = 0) -> float:
    """The same with so many jobs waiting, of several clients; they are waited for at the end."""
    connections = [Connection(path, job) for _ in range(CONNECTIONS)]
    for connection in connections:
        connection.send(waiting // CONNECTIONS)
    begin, done, left = time.perf_counter(), 0, waiting // CONNECTIONS * CONNECTIONS
    while left:
        passed = time.perf_counter() - begin
        for connection in select.select(connections, [], [], 60)[0]:
            completed = connection.receive()
            if passed < seconds:
                connection.send(completed)
                done += completed
            else:
                left -= completed
        time.sleep(pause)
    for connection in connections:
        connection.close()
    return done / seconds


def _rate(connection: Connection | _Marks, seconds: float, pause: float) -> float:
    connection.send(DEPTH)
    begin, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - begin) < seconds:
        completed = connection.receive()
        connection.send(completed)
        done += completed
        time.sleep(pause)
    connection.close()
    return done / passed


class _Marks:
    """Sends jobs in turn and looks for their values in order: a wrong answer is missed for ever."""

    def __init__(self, path: str, jobs: list[Job]):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(path)
        self._requests = [job.request for job in jobs]
        self._marks = [job.mark for job in jobs]
        self._sent = self._seen = 0
        self._data = b""

    def send(self, count: int) -> None:
        turn = range(self._sent, self._sent + count)
        self._socket.sendall(b"".join(self._requests[i % len(self._requests)] for i in turn))
        self._sent += count

    def receive(self) -> int:
        self._data += self._socket.recv(READ)
        at, before = 0, self._seen
        while self._seen < self._sent:
            mark = self._marks[self._seen % len(self._marks)]
            found = self._data.find(mark, at)
            if found < 0:
                break
            at = found + len(mark)
            self._seen += 1
        self._data = self._data[at:]
        return self._seen - before

    def close(self) -> None:
        self._socket.close()


def latencies(path: str, job: Job, per_second: float, seconds: float) -> list[float]:
    """Seconds from each request's due time to its reply, at a rate that waits for no answer.

    Requests take turns on the connections: on one alone a reply waits for those before it.
    """
    due: dict[Connection, deque[float]] = {
        Connection(path, job): deque() for _ in range(CONNECTIONS)
    }
    turns = itertools.cycle(due)
    ready = {connection.fileno(): connection for connection in due}
    taken: list[float] = []
    begin, sent, total = time.perf_counter(), 0, int(per_second * seconds)
    while len(taken) < total:
        while sent < total and (at := begin + sent / per_second) <= time.perf_counter():
            connection = next(turns)
            connection.send(1)
            due[connection].append(at)
            sent += 1
        # To the microsecond, unlike a socket's own timeout.
        patience = max(at - time.perf_counter(), 0) if sent < total else None
        for number in select.select(ready, [], [], patience)[0]:
            connection = ready[number]
            completed = connection.receive()
            now = time.perf_counter()
            taken.extend(now - due[connection].popleft() for _ in range(completed))
    for connection in due:
        connection.close()
    return taken
