"""Programs wait in a rewind zygote while another one runs there: whatever becomes of that one, each
has its own request, its own output and its own fate."""

from __future__ import annotations

import os
import select
import signal
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from .conftest import PATIENT, Daemon, eventually, running
from .test_rewind import rewind_zygotes, rewinds

ECHO = "def f(x): return x"
PRINTS = "def f(x):\n  print(x, end='')\n  return x"
PRINTS_MUCH = "def f(x):\n  print(str(x) * 30_000, end='')\n  return x"
RETURNS_MUCH = "def f(x): return [x] * 5_000"
LONG = f"# {'-' * 20_000}\n{ECHO}"
RAISES = "def f(x): raise ValueError(x)"
FALLS_BACK = "import os\ndef f(x):\n  os.stat('/')\n  return x"
EXITS = "import os\ndef f(x): os._exit(3)"
FOREVER = "def f(x):\n  while True: pass"
SLEEPS = "import time\ndef f(x):\n  time.sleep(2)\n  return x"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with (
        tempfile.TemporaryDirectory(prefix="azr") as path,
        running(f"{path}/s", "--zygotes", "2", "--rewind", "2", "--timeout", PATIENT) as one,
    ):
        if not rewinds(one):
            pytest.skip("this kernel cannot rewind: see azr-sandboxd --check")
        yield one


def pipelined(client: redis.Redis, jobs: list[tuple[str, int]], *options: str | int) -> list[Any]:
    pipe = client.pipeline(transaction=False)
    for program, number in jobs:
        pipe.execute_command("CALL", program, "f", 1, str(number), *options)
    return list(pipe.execute())


def outcome(reply: dict[str, Any]) -> tuple[Any, ...]:
    result = reply["results"][0] if reply["results"] else {}
    return reply["verdict"], result.get("value"), result.get("message"), reply["stdout"]


def expected(program: str, number: int) -> tuple[Any, ...]:
    value, text = str(number), ""
    if program == RAISES:
        return "ok", None, value, text
    if program == EXITS:
        return "crash", None, "ended without a result, with exit status 3", text
    if program == RETURNS_MUCH:
        value = str([number] * 5_000)
    if program in (PRINTS, PRINTS_MUCH):
        text = value * (1 if program == PRINTS else 30_000)
    return "ok", value, None, text


@pytest.mark.parametrize(
    "kinds",
    [
        (ECHO,),
        (ECHO, PRINTS),
        (ECHO, ECHO, ECHO, PRINTS, ECHO, PRINTS_MUCH),
        (ECHO, RETURNS_MUCH, ECHO, ECHO),
        (ECHO, LONG, LONG, ECHO, PRINTS),
        (ECHO, ECHO, FALLS_BACK, ECHO),
        (ECHO, RAISES, ECHO, EXITS, PRINTS),
    ],
    ids=lambda kinds: "-".join(str(len(kind)) for kind in kinds),
)
def test_each_has_its_own_request_and_output(daemon: Daemon, kinds: tuple[str, ...]) -> None:
    jobs = [(kinds[i % len(kinds)], i) for i in range(240)]
    with daemon.connect() as client:
        replies = pipelined(client, jobs)
    wrong = [
        (job, outcome(reply))
        for job, reply in zip(jobs, replies, strict=True)
        if outcome(reply) != expected(*job)
    ]
    assert wrong == []


def test_its_time_is_its_own(daemon: Daemon) -> None:
    """Also of one whose beginning the daemon learns of after its end."""
    with daemon.connect() as client:
        replies = pipelined(client, [(ECHO, i) for i in range(2_000)])
    assert all(reply["wall_us"] >= 0.8 * reply["cpu_us"] > 0 for reply in replies)


def test_those_behind_a_slow_one_are_run_elsewhere(daemon: Daemon) -> None:
    with daemon.connect() as slow, daemon.connect() as quick:
        slow.execute_command("PING")
        connection = slow.connection_pool.get_connection()
        connection.send_command("CALL", SLEEPS, "f", 1, "7")
        replies = pipelined(quick, [(ECHO, i) for i in range(64)])
        assert [outcome(reply) for reply in replies] == [expected(ECHO, i) for i in range(64)]
        socket = connection._sock
        assert select.select([socket], [], [], 0)[0] == []  # it still sleeps
        assert connection.read_response()["verdict"] == "ok"
        slow.connection_pool.release(connection)


def test_those_behind_one_that_is_killed_are_run(daemon: Daemon) -> None:
    jobs = [(FOREVER if i % 40 == 20 else ECHO, i) for i in range(120)]
    with daemon.connect() as client:
        replies = pipelined(client, jobs, "TIMEOUT", 150)
    for (program, number), reply in zip(jobs, replies, strict=True):
        if program == FOREVER:
            assert reply["results"][0]["verdict"] == "timeout" or reply["verdict"] == "timeout"
        else:
            assert outcome(reply) == expected(ECHO, number)


def test_a_zygote_dies_with_programs_waiting(daemon: Daemon) -> None:
    """Those that waited are run elsewhere, the one that ran there too."""
    with daemon.connect() as client, daemon.connect() as other:
        for _ in range(5):
            pids = [int(zygote["pid"]) for zygote in rewind_zygotes(daemon)]
            pipe = client.pipeline(transaction=False)
            for i in range(400):
                pipe.execute_command("CALL", ECHO, "f", 1, str(i))
            connection = other.connection_pool.get_connection()
            for i in range(400):
                connection.send_command("CALL", ECHO, "f", 1, str(i))
            os.kill(pids[0], signal.SIGKILL)
            replies = [connection.read_response() for _ in range(400)]
            other.connection_pool.release(connection)
            replies += pipe.execute()
            numbers = [reply["results"][0]["value"] for reply in replies]
            assert numbers == [str(i) for i in range(400)] * 2
            assert eventually(
                lambda pids=pids: all(
                    zygote["state"] == "idle" and int(zygote["pid"]) != pids[0]
                    for zygote in rewind_zygotes(daemon)
                )
            )


def test_a_client_leaves_with_programs_waiting(daemon: Daemon) -> None:
    for _ in range(20):
        with daemon.connect() as client:
            connection = client.connection_pool.get_connection()
            for i in range(30):
                connection.send_command("CALL", PRINTS if i % 2 else FOREVER, "f", 1, str(i))
            time.sleep(0.002)
            connection.disconnect()
    with daemon.connect() as client:
        replies = pipelined(client, [(PRINTS, i) for i in range(50)])
    assert [outcome(reply) for reply in replies] == [expected(PRINTS, i) for i in range(50)]
