"""The protocol from outside: commands, replies, scripts, and verdicts about programs."""

from __future__ import annotations

import socket

import pytest
import redis

from .conftest import (
    IDENTITY,
    Daemon,
    value,
)

# --- protocol


@pytest.mark.parametrize("protocol", [2, 3])
def test_hello_and_friends(daemon: Daemon, protocol: int) -> None:
    with daemon.connect(protocol) as client:
        assert client.ping()
        assert client.client_setname("name")
        assert client.client_getname() == "name"
        assert client.client_id() > 0
        assert client.config_get("MEM*") == {"memory": str(512 << 20)}
        assert "call" in client.command()
        assert client.info("server")["server"] == "azr-sandboxd"
        assert "level" in client.info("security")


def test_hello_returns_the_full_map(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(daemon.path)
        raw.sendall(b"HELLO 3\r\nPING text\r\nHELLO 4\r\nHELLO 2 SETNAME me\r\nQUIT\r\n")
        text = b"".join(iter(lambda: raw.recv(65536), b""))
    assert b"$4\r\ntext\r\n" in text
    assert text.startswith(b"%7\r\n$6\r\nserver\r\n$12\r\nazr-sandboxd\r\n")
    assert b"-NOPROTO" in text
    assert b"*14\r\n" in text
    assert text.endswith(b"+OK\r\n")


def test_resp2_replies_are_flat(daemon: Daemon) -> None:
    with daemon.connect(protocol=2) as client:
        reply = client.execute_command("CALL", IDENTITY, "f", 1, "1")
    pairs = dict(zip(reply[::2], reply[1::2], strict=True))
    assert pairs["verdict"] == "ok"
    assert pairs["signal"] is None
    assert pairs["results"][0][:4] == ["verdict", "ok", "value", "1"]


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["CALL", IDENTITY, "f", "0", "COLOUR", "1"], "unknown option 'COLOUR'"),
        (["RUN", "1", "REPLICAS", "2"], "unknown option 'REPLICAS'"),
        (["CALL", IDENTITY, "f", "5", "1"], "5 cases announced"),
        (["CALL", IDENTITY, "f", "0", "REPLICAS", "99"], "REPLICAS 99 needs"),
        (["RUN", "1", "TIMEOUT", "soon"], "option 'TIMEOUT' must be a number"),
        (["RUN"], "wrong number of arguments"),
        (["FLUSHALL"], "unknown command 'FLUSHALL'"),
        (["CONFIG", "SET", "x", "1"], "CONFIG GET"),
    ],
)
def test_refusals_name_what_is_wrong(daemon: Daemon, command: list[str], complaint: str) -> None:
    with daemon.connect() as client, pytest.raises(redis.ResponseError, match=complaint):
        client.execute_command(*command)


def test_a_protocol_error_ends_the_connection(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(daemon.path)
        raw.sendall(b"PING\r\n*1\r\n$-7\r\n")
        text = b"".join(iter(lambda: raw.recv(65536), b""))
    assert text == b"+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"


def test_pipelined_replies_come_in_order(daemon: Daemon) -> None:
    with daemon.connect() as client:
        pipe = client.pipeline(transaction=False)
        for i in range(300):
            pipe.client_id()
            program = f"import time; time.sleep({0.01 if i % 7 == 0 else 0})\n{IDENTITY}"
            pipe.execute_command("CALL", program, "f", 1, str(i))
        replies = pipe.execute()
    assert len(set(replies[::2])) == 1
    assert isinstance(replies[0], int)
    assert [r["results"][0]["value"] for r in replies[1::2]] == [str(i) for i in range(300)]


def test_a_busy_client_does_not_starve_another(daemon: Daemon) -> None:
    """Of two clients each gets its turn: a job waits for a few others, not for a queue."""
    slow = f"import time; time.sleep(0.02)\n{IDENTITY}"
    connection = daemon.connect().connection_pool.get_connection()
    connection.send_packed_command(connection.pack_commands([("CALL", slow, "f", 1, "1")] * 200))
    assert value(daemon) == "1"
    with daemon.connect() as other:
        assert other.info("stats")["jobs_waiting"] > 0
    for _ in range(200):
        connection.read_response()


def test_large_arguments_and_values(daemon: Daemon) -> None:
    text = repr("x" * 3_000_000)
    reply = daemon.call(IDENTITY, text, OUTPUT=4 << 20)
    assert reply["results"][0]["value"] == text
    assert value(daemon, "9" * 20000) == "9" * 20000


# --- RUN


def test_run_is_a_script(daemon: Daemon) -> None:
    script = (
        "import sys, atexit\n"
        "atexit.register(print, 'bye')\n"
        "if __name__ == '__main__': print(input().upper(), sys.stdin.read())\n"
        "print('é', file=sys.stderr)"
    )
    reply = daemon.run(script, STDIN="héllo\nrest")
    assert reply["verdict"] == "ok"
    assert reply["exit"] == 0
    assert reply["stdout"] == "HÉLLO rest\nbye\n"
    assert reply["stderr"] == "é\n"


@pytest.mark.parametrize(
    ("script", "verdict", "exit_status", "on_stderr"),
    [
        ("exit(3)", "error", 3, ""),
        ("exit()", "ok", 0, ""),
        ("raise SystemExit('words')", "error", 1, "words\n"),
        ("1/0", "error", 1, "ZeroDivisionError: division by zero\n"),
        ("import os; os._exit(0)", "crash", 0, ""),
    ],
)
def test_ends_of_scripts(
    daemon: Daemon, script: str, verdict: str, exit_status: int, on_stderr: str
) -> None:
    reply = daemon.run(script)
    assert (reply["verdict"], reply["exit"]) == (verdict, exit_status)
    assert reply["stderr"].endswith(on_stderr)


def test_output_so_far_comes_with_a_timeout(daemon: Daemon) -> None:
    reply = daemon.run("import sys\nprint('so far', flush=True)\nwhile True: pass", TIMEOUT=500)
    assert reply["verdict"] == "timeout"
    assert reply["stdout"] == "so far\n"


# --- verdicts about the program itself


@pytest.mark.parametrize(
    ("program", "verdict", "kind", "line"),
    [
        ("def f(:", "error", "SyntaxError", 1),
        ("x = 1\nraise KeyError('k')", "error", "KeyError", 2),
        ("def g(): pass", "error", "NoEntry", None),
        ("f = 3", "error", "NoEntry", None),
        ("x = 'a' * 10 ** 12", "memory", "MemoryError", 1),
        ("a\0b", "error", "SyntaxError", None),
    ],
)
def test_programs_that_do_not_load(
    daemon: Daemon, program: str, verdict: str, kind: str, line: int | None
) -> None:
    reply = daemon.call(program, "1", "2")
    said = reply["type"] or reply["reason"]
    assert (reply["verdict"], said, reply["line"]) == (verdict, kind, line)
    assert [r["verdict"] for r in reply["results"]] == [verdict, verdict]


def test_finished_cases_survive_a_timeout(daemon: Daemon) -> None:
    program = "def f(x):\n  while x == 2: pass\n  return x"
    reply = daemon.call(program, "1", "2", "3", TIMEOUT=500)
    assert reply["verdict"] == "timeout"
    assert [r["verdict"] for r in reply["results"]] == ["ok", "timeout", "timeout"]


def test_cpu_limit_is_its_own(daemon: Daemon) -> None:
    reply = daemon.call("def f():\n  while True: pass", "", CPU=200, TIMEOUT=60000)
    assert reply["verdict"] == "timeout"
    assert "CPU limit of 200 ms" in reply["message"]
    assert daemon.call("import time\ndef f(): time.sleep(0.4)", "", CPU=200)["verdict"] == "ok"


def test_lines_and_types_of_errors(daemon: Daemon) -> None:
    reply = daemon.call("def g(x):\n  return 1 / x\n\ndef f(x):\n  return g(x)", "0", "1", "'a'")
    first, second, third = reply["results"]
    assert (first["type"], first["line"]) == ("ZeroDivisionError", 2)
    assert second["value"] == "1.0"
    assert (third["type"], third["line"]) == ("TypeError", 2)
