"""Ways around the limits and the layers, each closed: what floods, what fails, what stays."""

from __future__ import annotations

import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import (
    IDENTITY,
    Daemon,
    children_of,
    eventually,
    executable,
    next_program_is_fine,
    running,
    value,
)

# --- limits of what a program may say


def test_names_of_types_are_cut(daemon: Daemon) -> None:
    long_name = "def f(): return type('é' * 20_000_000, (), {})()"
    (result,) = daemon.call(long_name, "")["results"]
    assert result["reason"] == "NotPlainValue"
    assert len(result["message"].encode()) < 300
    raised = "def f(): raise type('aé' * 1_000_000, (Exception,), {})('é' * 5000)"
    (result,) = daemon.call(raised, "")["results"]
    assert len(result["type"].encode()) <= 256
    assert len(result["message"].encode()) <= 1024


def test_messages_about_arguments_are_cut(daemon: Daemon) -> None:
    (result,) = daemon.call(IDENTITY, "x" * 100_000)["results"]
    assert result["reason"] == "BadArgument"
    assert len(result["message"]) == 1024


def test_isolated_cases_share_one_output(daemon: Daemon) -> None:
    program = "def f(x):\n  print(end='x' * 40_000)\n  return 'y' * 30_000"
    reply = daemon.call(program, *(["1"] * 6), OUTPUT=100_000, ISOLATE=1)
    assert len(reply["stdout"]) <= 100_000
    values = [result["value"] or "" for result in reply["results"]]
    assert 0 < sum(map(len, values)) <= 100_000
    assert {result["verdict"] for result in reply["results"]} == {"ok", "output"}


def test_replies_that_differ_in_wide_characters_are_utf8(daemon: Daemon) -> None:
    program = "def f(): return ['é' * 300, hash('a')]"
    for pad in ("", "a"):  # either parity of the cut
        reply = daemon.call(program.replace("é'", f"{pad}é'"), "", REPLICAS=2)
        assert reply["verdict"] == "ok" if reply["results"][0]["value"] else "nondeterministic"
        assert "differs" in reply["message"]


def test_deep_calls_in_arguments(daemon: Daemon) -> None:
    for opening in ("set(", "frozenset((", "complex("):
        (result,) = daemon.call(IDENTITY, opening * 200_000)["results"]
        assert result["reason"] == "BadArgument"


# --- how programs end


@pytest.mark.parametrize(
    ("script", "verdict", "status"),
    [
        ("import sys; sys.exit(-1)", "error", 255),
        ("import sys; sys.exit(256)", "ok", 0),
        ("import sys; sys.exit(257)", "error", 1),
        ("import sys; sys.exit(2 ** 64)", "error", 255),
        ("import sys; sys.exit(-2 ** 64)", "error", 255),
        ("import sys; sys.exit(True)", "error", 1),
    ],
)
def test_exit_statuses_are_those_of_python(
    daemon: Daemon, script: str, verdict: str, status: int
) -> None:
    reply = daemon.run(script)
    assert (reply["verdict"], reply["exit"]) == (verdict, status)


EXHAUST = """
hold = []
def f(x):
    if x == 2:
        for size in (1 << 24, 1 << 20, 1 << 16, 4096, 600, 100, 1):
            try:
                while True: hold.append(bytearray(size))
            except MemoryError: pass
        raise MemoryError
    return x
"""


def test_cases_survive_the_end_of_memory(daemon: Daemon) -> None:
    reply = daemon.call(EXHAUST, "1", "2", "3", MEMORY=64 << 20, TIMEOUT=30_000)
    results = reply["results"]
    assert results[0]["value"] == "1", reply
    assert results[1]["verdict"] == "memory"
    assert results[2]["verdict"] in ("ok", "memory")
    assert reply["verdict"] == "ok"
    next_program_is_fine(daemon)


def test_memory_ends_while_a_program_loads(daemon: Daemon) -> None:
    program = EXHAUST + "f(2)\n"
    reply = daemon.call(program, "1", MEMORY=64 << 20, TIMEOUT=30_000)
    assert reply["verdict"] == "memory"
    assert daemon.run(program, MEMORY=64 << 20, TIMEOUT=30_000)["verdict"] == "memory"


def test_page_faults_are_counted(daemon: Daemon) -> None:
    few = daemon.call("def f(): return 1", "")["faults"]
    many = daemon.call("def f(): return len(bytearray(32 << 20))", "")["faults"]
    assert few > 0
    assert many > few + 1000  # less than 8192 where pages are large
    assert daemon.run("pass")["faults"] > 0


# --- the end


def test_drain_ends_when_the_last_client_leaves(folder: Path) -> None:
    """Nobody is left to answer: the program is killed, and that is the end."""
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        (zygote,) = daemon.zygote_pids()
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(daemon.path)
            raw.sendall(b"*4\r\n$3\r\nRUN\r\n$15\r\nwhile 1:\n\tpass\n\r\n$7\r\nTIMEOUT\r\n")
            raw.sendall(b"$6\r\n600000\r\n")
            assert eventually(lambda: children_of(zygote) != [])
            daemon.process.terminate()
            time.sleep(0.2)
            assert daemon.process.poll() is None
        assert daemon.process.wait(30) == 0


def begin_large_reply(raw: socket.socket) -> None:
    """Ask for eight megabytes and read the first of them."""
    program = b"def f(): return 'x' * 8000000"
    words = [b"CALL", program, b"f", b"1", b"", b"OUTPUT", b"9000000"]
    raw.sendall(b"*7\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
    assert raw.recv(100)


def test_drain_sends_replies_to_their_end(folder: Path) -> None:
    """The client reads slowly: more than a socket's buffer is still on its way."""
    with running(f"{folder}/s", "--zygotes", "1") as daemon, socket.socket(socket.AF_UNIX) as raw:
        raw.connect(daemon.path)
        begin_large_reply(raw)
        daemon.process.terminate()
        time.sleep(0.5)
        rest = b"".join(iter(lambda: raw.recv(1 << 16), b""))
        assert len(rest) > 8_000_000
        assert rest.endswith(b"\r\n")
        assert daemon.process.wait(30) == 0


def test_drain_does_not_wait_for_who_never_reads(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon, socket.socket(socket.AF_UNIX) as raw:
        raw.connect(daemon.path)
        begin_large_reply(raw)
        daemon.process.terminate()
        assert daemon.process.wait(30) == 0


def test_an_orphan_ends_by_itself(folder: Path) -> None:
    """Its parent ended before it could be asked for: nobody reads that it is ready."""
    command = f"({executable()} --socket {folder}/s --zygotes 1 --parent-death & echo $!) | head -1"
    told = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True
    )
    pid = int(told.stdout)
    assert eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_many_replies_of_a_slow_reader(daemon: Daemon) -> None:
    """Large replies of which the client reads a little at a time take no more than linear time."""
    with daemon.connect() as client:
        pipe = client.pipeline(transaction=False)
        for _ in range(8):
            pipe.execute_command(
                "CALL", "def f(): return 'x' * 4000000", "f", 1, "", "OUTPUT", 5000000
            )
        for reply in pipe.execute():
            assert len(reply["results"][0]["value"]) == 4_000_002
    assert value(daemon) == "1"


def test_replies_behind_a_slow_one_are_bounded(daemon: Daemon) -> None:
    """They wait for their turn in the broker's memory, so commands wait for them."""
    with daemon.connect() as observer:
        before = observer.info("stats")["total_commands_processed"]
        connection = daemon.connect().connection_pool.get_connection()
        slow = ("CALL", f"import time; time.sleep(1)\n{IDENTITY}", "f", 1, "1")
        connection.send_packed_command(connection.pack_commands([slow]))
        with ThreadPoolExecutor(1) as pool:
            pings = connection.pack_commands([("PING", "x" * 100_000)] * 400)
            sending = pool.submit(connection.send_packed_command, pings)
            time.sleep(0.5)
            after = observer.info("stats")["total_commands_processed"]
            assert connection.read_response()["verdict"] == "ok"
            for _ in range(400):
                assert len(connection.read_response()) == 100_000
            sending.result()
    assert after - before < 100
