"""A client that asks for too much, or takes too little, costs only itself: others go on being
answered, and the broker's memory and descriptors stay bounded."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import IDENTITY, Daemon, children_of, eventually, running

MIB = 1 << 20
# One client's share: replies it has not read, requests that wait, and what allocators keep of both.
BOUND = 160 * MIB


def words(*words: str | int | bytes) -> bytes:
    texts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(t), t) for t in texts)


def descriptors(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))


def memory(daemon: Daemon) -> int:
    """The most the broker ever held, in bytes."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) << 10


class Bystander:
    """Another client, there before the trouble begins."""

    def __init__(self, daemon: Daemon):
        self.daemon = daemon
        self.client = daemon.connect()
        self.is_answered()  # whatever is made with the first program is there now
        self.client.ping()  # and what was made for the last one is gone
        self.descriptors = descriptors(daemon)
        self.memory = memory(daemon)

    def is_answered(self) -> None:
        for i in range(10):
            reply = self.client.execute_command("CALL", IDENTITY, "f", 1, i)
            assert reply["results"][0]["value"] == str(i)

    def sees_waiting(self, least: int) -> bool:
        """That many jobs wait although nothing runs."""
        stats = self.client.info("stats")
        return stats["jobs_waiting"] >= least and stats["programs_running"] == 0

    def stat(self, name: str) -> int:
        return int(self.client.info("stats")[name])


@pytest.fixture
def bystander(folder: Path) -> Iterator[Bystander]:
    """At the end nothing of the others is left and it is still answered."""
    with running(f"{folder}/s", "--zygotes", "2") as daemon:
        one = Bystander(daemon)
        yield one
        one.is_answered()
        assert eventually(lambda: descriptors(daemon) == one.descriptors)
        assert eventually(lambda: one.stat("jobs_waiting") + one.stat("programs_running") == 0)
        assert memory(daemon) - one.memory < BOUND
        assert daemon.stop() == 0


@contextlib.contextmanager
def sending(daemon: Daemon, *pieces: bytes, times: int = 1) -> Iterator[socket.socket]:
    """A client that sends all this for as long as it is let, and reads nothing."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(daemon.path)

        def send() -> None:
            with contextlib.suppress(OSError):  # the daemon, or the end of the test, hangs up
                for _ in range(times):
                    for piece in pieces:
                        raw.sendall(piece)

        thread = threading.Thread(target=send)
        thread.start()
        yield raw
        with contextlib.suppress(OSError):
            raw.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_client_that_never_reads(bystander: Bystander) -> None:
    """Replies of 4 MiB pile up to its bound; then its jobs wait, and the others' do not."""
    big = words("CALL", "def f(): return 'x' * 4_000_000", "f", 1, "", "OUTPUT", 5 * MIB)
    with sending(bystander.daemon, big, times=200):
        assert eventually(lambda: bystander.sees_waiting(150))
        bystander.is_answered()
        assert bystander.stat("jobs_waiting") > 150


def test_jobs_of_a_client_that_reads_late_are_all_answered(bystander: Bystander) -> None:
    """What waited for it to read goes on, in order, when it does."""
    program = "def f(x): return x, 'x' * 3_000_000"
    with bystander.daemon.connect() as client:
        connection = client.connection_pool.get_connection()
        options = ("OUTPUT", 4 * MIB, "REPLICAS", 2, "TIMEOUT", 60_000)
        calls = [("CALL", program, "f", 1, i, *options) for i in range(20)]
        connection.send_packed_command(connection.pack_commands(calls))
        assert eventually(lambda: bystander.stat("programs_running") == 0)
        bystander.is_answered()
        for i in range(20):
            reply = connection.read_response()
            assert reply["results"][0]["value"].startswith(f"({i}, "), reply["message"]


def test_a_client_that_sends_half_a_request_and_stays(bystander: Bystander) -> None:
    half = words("CALL", IDENTITY, "f", 1, "1")[:-4]
    large = b"*4\r\n" + b"$%d\r\n%s\r\n" % (16 * MIB, b"x" * (16 * MIB)) + b"$9999999\r\nx"
    with sending(bystander.daemon, half), sending(bystander.daemon, large):
        bystander.is_answered()


def test_a_hundred_thousand_jobs_at_once(bystander: Bystander) -> None:
    """All are offered, few are taken: the rest stays in the sender's socket until there is room.
    How long it would go on changes nothing, so the client leaves after a while."""
    job = words("CALL", IDENTITY, "f", 1, "1") * 100
    with sending(bystander.daemon, job, times=1000):
        assert eventually(lambda: bystander.stat("jobs_waiting") > 100)
        bystander.is_answered()
        assert bystander.stat("jobs_waiting") <= 256
    assert eventually(lambda: bystander.stat("jobs_waiting") == 0)


def test_large_requests_that_wait(bystander: Bystander) -> None:
    """Requests wait in the broker's memory only up to a bound, however few commands they are."""
    slow = words("RUN", "import time\ntime.sleep(600)", "TIMEOUT", 600_000)
    large = words("RUN", b"#" * (15 * MIB))
    with sending(bystander.daemon, slow, slow, *[large] * 20):
        assert eventually(lambda: bystander.stat("jobs_waiting") >= 3)
        for _ in range(5000):  # each lets the broker read some more of the others
            bystander.client.ping()
        assert bystander.stat("jobs_waiting") <= 5


def test_a_bulk_string_of_a_gigabyte(bystander: Bystander) -> None:
    """Announced, it is refused at once; sent all the same, it is not read."""
    with sending(bystander.daemon, b"*2\r\n$3\r\nRUN\r\n$1073741824\r\n", b"x" * MIB) as raw:
        assert raw.recv(1000) == b"-ERR Protocol error: invalid bulk length\r\n"


def test_a_gigabyte_in_allowed_pieces(bystander: Bystander) -> None:
    piece = b"$%d\r\n%s\r\n" % (16 * MIB, b"x" * (16 * MIB))
    with sending(bystander.daemon, b"*64\r\n", *[piece] * 64) as raw:
        assert raw.recv(1000) == b"-ERR Protocol error: request too large\r\n"


def test_clients_that_leave_in_the_middle(bystander: Bystander) -> None:
    """Of a running job, of jobs that wait, of a request, of a reply."""
    job = words("RUN", "print('x' * 100_000)\nwhile True: pass", "TIMEOUT", 600_000)
    zygotes = bystander.daemon.zygote_pids()
    for _ in range(10):
        with sending(bystander.daemon, *[job] * 20, job[:-9]):
            assert eventually(lambda: any(map(children_of, zygotes)))
        assert eventually(lambda: not any(map(children_of, zygotes)))
    large = words("RUN", "print('x' * 1_000_000)")
    for _ in range(10):
        with sending(bystander.daemon, large) as raw:
            assert raw.recv(10)


def test_very_many_connections(bystander: Bystander) -> None:
    """Those beyond what is allowed are turned away; there is room again when some leave."""
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(400)]
        for one in crowd:
            one.connect(bystander.daemon.path)
            bystander.client.ping()
        bystander.is_answered()
        assert int(bystander.client.info("clients")["connected_clients"]) <= 256
        with socket.socket(socket.AF_UNIX) as another:
            another.connect(bystander.daemon.path)
            assert another.recv(100).startswith(b"-ERR max number of clients")
            assert another.recv(1) == b""
    assert eventually(lambda: int(bystander.client.info("clients")["connected_clients"]) == 1)
    with bystander.daemon.connect() as another:
        assert another.ping()


def test_replies_that_wait_for_an_older_job_do_not_keep_it_from_beginning(folder: Path) -> None:
    """Its tier is busy when the others' replies fill the client's share."""
    tiers = ("--rewind", "1", "--zygotes", "1")
    with running(f"{folder}/s", *tiers, "--max-unread", "4000") as daemon:
        busy = "import time\ndef f(): time.sleep(1.5)"
        with daemon.connect() as other, daemon.connect() as client:
            holding = threading.Thread(
                target=other.execute_command, args=("CALL", busy, "f", 1, "", "TIER", "rewind")
            )
            holding.start()
            assert eventually(lambda: daemon.connect().info("stats")["programs_running"] == 1)
            pipe = client.pipeline(transaction=False)
            pipe.execute_command("CALL", IDENTITY, "f", 1, "1")
            for _ in range(9):
                text = "def f(): return 'x' * 900"
                pipe.execute_command("CALL", text, "f", 1, "", "TIER", "fork")
            assert [len(reply["results"]) for reply in pipe.execute()] == [1] * 10
            holding.join()
