"""Every command with the worst that a client can send as its arguments: another client's PING is
answered all the while, a running job keeps its deadline, and the broker's memory stays bounded.

What PING takes then is measured by `benchmarks/sandbox_worst_inputs.py`; here are only bounds that
a busy machine keeps as well.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import IDENTITY, Daemon, eventually, running
from .worst_inputs import WORST, Worst, ask, connect

MIB = 1 << 20
LONGEST_PING = 2.0  # seconds: a bound on hangs; the pattern that this began with took six
LATEST_END = 5.0  # seconds beyond a deadline


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    path = tmp_path_factory.mktemp("w") / "s"
    with running(str(path), "--zygotes", "4", "--timeout", "60000") as one:
        yield one


class Pinging:
    """Another client, which asks PING as often as it can."""

    def __init__(self, daemon: Daemon):
        self.longest = 0.0
        self._daemon = daemon
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def _go_on(self) -> None:
        with self._daemon.connect() as client:
            while not self._over.is_set():
                begin = time.monotonic()
                client.ping()
                self.longest = max(self.longest, time.monotonic() - begin)
                time.sleep(0.002)

    def __enter__(self) -> Pinging:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@contextlib.contextmanager
def a_job_with_a_deadline(daemon: Daemon) -> Iterator[None]:
    """It runs meanwhile, and ends in time."""
    with daemon.connect() as client:
        connection = client.connection_pool.get_connection()
        begin = time.monotonic()
        connection.send_command("RUN", "while True: pass", "TIMEOUT", 700, "TIER", "fork")
        yield
        reply = connection.read_response()
        assert reply["verdict"] == "timeout"
        assert 0.7 <= time.monotonic() - begin < 0.7 + LATEST_END


@pytest.mark.parametrize("worst", WORST, ids=lambda worst: worst.name)
def test_others_go_on(daemon: Daemon, worst: Worst) -> None:
    with Pinging(daemon) as pinging, a_job_with_a_deadline(daemon):
        for _ in range(3):
            with connect(daemon.path) as raw:
                start = ask(raw, worst)
            assert start.startswith(worst.answer), start[:200]
    assert pinging.longest < LONGEST_PING


def held(daemon: Daemon) -> int:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


def test_sixty_clients_with_the_longest_names(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon, contextlib.ExitStack() as clients:
        before = held(daemon)
        for _ in range(60):
            raw = clients.enter_context(connect(daemon.path))
            raw.sendall(b"*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$256\r\n" + b"n" * 256 + b"\r\n")
            assert raw.recv(100) == b"+OK\r\n"
            with contextlib.suppress(OSError):
                raw.sendall(b"*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$16777216\r\n" + b"n" * MIB)
        daemon.connect().ping()
        assert held(daemon) - before < 16 * MIB


def half_a_job(daemon: Daemon, mib: int) -> socket.socket:
    """A request of so many MiB whose last byte does not come."""
    raw = connect(daemon.path)
    raw.sendall(b"*2\r\n$3\r\nRUN\r\n$%d\r\n" % (mib * MIB) + b"#" * (mib * MIB - 1))
    return raw


def test_unfinished_requests_are_part_of_what_may_be_queued(folder: Path) -> None:
    options = ("--zygotes", "1", "--max-queued", str(64 * MIB))
    with running(f"{folder}/s", *options) as daemon, contextlib.ExitStack() as clients:
        before = held(daemon)
        half = [clients.enter_context(half_a_job(daemon, 15)) for _ in range(8)]
        with daemon.connect() as client:
            assert int(client.info("stats")["queued_bytes"]) == 60 * MIB + 4 * 3
        assert held(daemon) - before < 90 * MIB
        for raw in half:  # the end of each
            raw.sendall(b"#\r\n")
        answers = [raw.recv(9) for raw in half]
        assert sum(answer.startswith(b"-BUSY") for answer in answers) == 4
        assert sum(answer.startswith(b"*") for answer in answers) == 4
        with daemon.connect() as client:
            assert client.info("stats")["queued_bytes"] == 0
            assert client.info("stats")["jobs_refused"] == 4


def test_a_request_that_does_not_come_to_its_end(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1", "--patience", "300") as daemon:
        with half_a_job(daemon, 1) as raw:
            answer = raw.recv(1000)
            assert b"-ERR Protocol error: a long request was not whole after 300 ms" in answer
            assert raw.recv(1000) == b""
        with daemon.connect() as client:
            assert client.info("stats")["queued_bytes"] == 0
            assert client.execute_command("CALL", IDENTITY, "f", 1, "1")["verdict"] == "ok"


def test_the_loop_tells_how_long_others_may_have_waited(daemon: Daemon) -> None:
    with daemon.connect() as client:
        turns = client.info("latency")["turn_us"]
        assert turns["count"] > 0
        assert turns["p50"] <= turns["p99"] <= turns["max"]


def test_a_flood_of_commands_and_a_flood_of_connections(daemon: Daemon) -> None:
    flood = b"INFO\r\n" * 20_000
    with Pinging(daemon) as pinging, contextlib.ExitStack() as clients:
        for _ in range(20):
            raw = clients.enter_context(connect(daemon.path))
            raw.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                raw.send(flood)
        for _ in range(500):
            connect(daemon.path).close()
    assert pinging.longest < LONGEST_PING
    assert eventually(lambda: daemon.connect().info("clients")["connected_clients"] == 1)
