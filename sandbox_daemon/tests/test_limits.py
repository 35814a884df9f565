"""What clients may pile up, who may connect, and what they are told when it is too much."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from .conftest import IDENTITY, PATIENT, children_of, eventually, running, value

MIB = 1 << 20
OTHER_USER = 64123
GROUP, OTHER_GROUP = 64200, 64201


def first_words(path: str, words: bytes = b"PING\r\n") -> bytes:
    """All that the daemon says to a connection that asks once and says no more."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(path)
        raw.sendall(words)
        raw.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: raw.recv(4096), b""))


# --- who


def as_user(
    user: int, group: int, groups: Sequence[int], path: str, words: bytes = b"PING\r\n"
) -> bytes:
    """What another user is told; its error's name when it cannot connect."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(group)
            os.setuid(user)
            os.write(write, first_words(path, words))
        except OSError as error:
            os.write(write, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read, "rb") as answer:
        return answer.read()


def test_other_users_are_refused_in_words(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        assert first_words(daemon.path) == b"+PONG\r\n"
        if os.geteuid() != 0:
            return  # nobody but root can be another user
        folder.chmod(0o755)
        assert as_user(OTHER_USER, GROUP, [], daemon.path) == b"PermissionError"
        (folder / "s").chmod(0o666)
        said = as_user(OTHER_USER, GROUP, [], daemon.path)
        assert said.startswith(b"-NOPERM only the daemon's user, root and members of its --group")
        with daemon.connect() as client:
            assert client.info("stats")["refused_peers"] == 1


def test_members_of_the_group_may_connect(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1", "--group", str(GROUP)) as daemon:
        if os.geteuid() != 0:  # it cannot give the file to a group that is not its own
            assert daemon.process.wait(60) == 2
            assert "must be a member" in daemon.process.stderr.read()
            assert not (folder / "s").exists()
            return
        info = (folder / "s").stat()
        assert (info.st_mode & 0o777, info.st_gid) == (0o660, GROUP)
        folder.chmod(0o755)
        assert as_user(OTHER_USER, GROUP, [], daemon.path) == b"+PONG\r\n"
        many = [*range(70_000, 70_100), GROUP]
        assert as_user(OTHER_USER, OTHER_GROUP, many, daemon.path) == b"+PONG\r\n"
        assert as_user(OTHER_USER, OTHER_GROUP, [], daemon.path) == b"PermissionError"
        (folder / "s").chmod(0o666)
        assert as_user(OTHER_USER, OTHER_GROUP, [], daemon.path).startswith(b"-NOPERM ")


# --- how many


def test_a_client_too_many_is_told(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1", "--max-clients", "1") as daemon:
        with daemon.connect() as client:
            assert client.ping()
            assert first_words(daemon.path) == b"-ERR max number of clients reached\r\n"
            with (
                daemon.connect() as another,
                pytest.raises(redis.ConnectionError, match="max number of clients reached"),
            ):
                another.ping()
            assert client.info("stats")["rejected_connections"] >= 2
        assert eventually(lambda: first_words(daemon.path) == b"+PONG\r\n")


def test_one_client_has_few_commands_in_flight(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1", "--max-pending", "3") as daemon:
        connection = daemon.connect().connection_pool.get_connection()
        hanging = ("CALL", "def f():\n  while True: pass", "f", 1, "", "TIMEOUT", 600_000)
        quick = ("CALL", IDENTITY, "f", 1, "1", "TIMEOUT", PATIENT)
        words = connection.pack_commands([hanging, *[quick] * 7])
        connection.send_packed_command(words)
        with daemon.connect() as other:
            assert eventually(lambda: other.info("stats")["jobs_waiting"] == 2)
            for _ in range(50):
                assert other.info("stats")["jobs_waiting"] == 2
            zygote = daemon.zygote_pids()[0]
            assert eventually(lambda: len(children_of(zygote)) == 1)
            (child,) = children_of(zygote)
        os.kill(child, 9)
        replies = [connection.read_response() for _ in range(8)]
        assert [reply["verdict"] for reply in replies] == ["crash", *["ok"] * 7]


def test_one_client_leaves_few_replies_unread(folder: Path) -> None:
    """It is not heard until it reads; then it gets every reply."""
    count, text = 200, b"x" * 65_536
    command = b"*2\r\n$4\r\nECHO\r\n$65536\r\n" + text + b"\r\n"
    with (
        running(f"{folder}/s", "--zygotes", "1", "--max-unread", "100000") as daemon,
        socket.socket(socket.AF_UNIX) as raw,
        daemon.connect() as other,
    ):
        raw.connect(daemon.path)
        sender = threading.Thread(target=raw.sendall, args=(command * count,))
        sender.start()

        def processed() -> int:
            return int(other.info("stats")["total_commands_processed"])

        assert eventually(lambda: processed() > 10)
        first = processed()
        for _ in range(50):
            last = processed()
        assert last - first < count / 2  # 51 of these are the questions
        expected = (b"$65536\r\n" + text + b"\r\n") * count
        received = bytearray()
        while len(received) < len(expected):
            received += raw.recv(MIB)
        sender.join()
        assert received == expected


def test_jobs_of_all_clients_have_a_bound(folder: Path) -> None:
    words = ("STDIN", "x" * (15 * MIB), "TIMEOUT", 600_000)
    big, hanging = ("RUN", "pass", *words), ("RUN", "while True: pass", *words)
    limit = ("--max-queued", str(64 * MIB))
    with running(f"{folder}/s", "--zygotes", "1", *limit) as daemon, daemon.connect() as client:

        def queued() -> int:
            return int(client.info("stats")["queued_bytes"])

        first = daemon.connect().connection_pool.get_connection()
        first.send_command(*hanging)
        assert eventually(lambda: queued() > 15 * MIB)
        second = daemon.connect().connection_pool.get_connection()
        second.send_packed_command(second.pack_commands([big] * 3))
        assert eventually(lambda: queued() > 60 * MIB)
        with pytest.raises(redis.ResponseError, match=r"^BUSY .* --max-queued allows 67108864"):
            client.execute_command(*big)
        assert client.info("stats")["jobs_refused"] == 1
        first.disconnect()
        assert [second.read_response()["verdict"] for _ in range(3)] == ["ok"] * 3
        assert eventually(lambda: queued() == 0)
        assert client.execute_command(*big)["verdict"] == "ok"


def test_descriptors_for_all_clients(folder: Path) -> None:
    with running(f"{folder}/s", "--max-clients", "1000000") as daemon:
        descriptors = os.sysconf("SC_OPEN_MAX")
        if descriptors > 1_010_000:
            assert daemon.first_line.startswith("ready")
        else:
            assert daemon.process.wait(60) == 2
            assert "file descriptors" in daemon.process.stderr.read()


# --- how long


def test_info_tells_how_long_jobs_took(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon, daemon.connect() as client:
        assert client.info("latency")["job_us"] == {
            **dict.fromkeys(("count", "p50", "p90", "p99", "max"), 0)
        }
        for _ in range(9):
            assert value(daemon) == "1"
        slow = f"import time; time.sleep(0.5)\n{IDENTITY}"
        assert daemon.call(slow, "1", TIMEOUT=PATIENT)["verdict"] == "ok"
        info = client.info("latency")
        assert info["job_us"]["count"] == info["queue_us"]["count"] == 10
        assert info["job_us"]["max"] >= 500_000
        quantiles = [info["job_us"][name] for name in ("p50", "p90", "p99", "max")]
        assert quantiles == sorted(quantiles)
        for name in ("job_us", "queue_us"):
            assert sum(info[f"{name}_buckets"].values()) == 10
            assert info[name]["max"] > 0


def test_time_in_the_queue_is_told_apart(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon, daemon.connect() as client:
        slow = f"import time; time.sleep(0.3)\n{IDENTITY}"
        pipe = client.pipeline(transaction=False)
        for _ in range(3):
            pipe.execute_command("CALL", slow, "f", 1, "1", "TIMEOUT", PATIENT)
        pipe.execute()
        info = client.info("latency")
        assert info["queue_us"]["max"] >= 500_000
        assert info["job_us"]["max"] >= 800_000
