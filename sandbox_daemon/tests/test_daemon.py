"""The daemon from outside: protocol, life cycle, supervision, and every way to fail to start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from .conftest import Daemon, executable, running

IDENTITY = "def f(x): return x"


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it comes true within a minute, however busy the machine."""
    for _ in range(1200):
        if condition():
            return True
        time.sleep(0.05)
    return False


def value(daemon: Daemon, argument: str = "1") -> str | None:
    answer = daemon.call(IDENTITY, argument)["results"][0]["value"]
    return None if answer is None else str(answer)


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


# --- protocol


@pytest.mark.parametrize("protocol", [2, 3])
def test_hello_and_friends(daemon: Daemon, protocol: int) -> None:
    with daemon.connect(protocol) as client:
        assert client.ping()
        assert client.client_setname("name")
        assert client.client_getname() == "name"
        assert client.client_id() > 0
        assert client.config_get("timeout*") == {"timeout_ms": "2000"}
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
        ("def g(): pass", "error", "NameError", None),
        ("f = 3", "error", "TypeError", None),
        ("x = 'a' * 10 ** 12", "memory", "MemoryError", 1),
        ("a\0b", "error", "SyntaxError", None),
    ],
)
def test_programs_that_do_not_load(
    daemon: Daemon, program: str, verdict: str, kind: str, line: int | None
) -> None:
    reply = daemon.call(program, "1", "2")
    assert (reply["verdict"], reply["type"], reply["line"]) == (verdict, kind, line)
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


# --- supervision


def test_nothing_is_left_of_a_hanging_program(daemon: Daemon) -> None:
    reply = daemon.call("import time\ndef f(): time.sleep(3600)", "", TIMEOUT=300)
    assert reply["verdict"] == "timeout"
    for zygote in daemon.zygote_pids():
        assert children_of(zygote) == []


def test_a_client_that_leaves_takes_its_programs_along(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(daemon.path)
        raw.sendall(b"RUN\r\n*4\r\n$3\r\nRUN\r\n$15\r\nwhile 1:\n\tpass\n\r\n")
        raw.sendall(b"$7\r\nTIMEOUT\r\n$6\r\n600000\r\n")
        assert eventually(lambda: any(map(children_of, daemon.zygote_pids())))
    assert eventually(lambda: not any(map(children_of, daemon.zygote_pids())))
    assert value(daemon) == "1"


def test_a_killed_zygote_is_replaced_and_its_job_answered(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        connection = daemon.connect().connection_pool.get_connection()
        connection.send_command("CALL", "import time\ndef f(): time.sleep(60)", "f", 1, "")
        (zygote,) = daemon.zygote_pids()
        assert eventually(lambda: children_of(zygote) != [])
        (child,) = children_of(zygote)
        os.kill(zygote, signal.SIGKILL)
        reply = connection.read_response()
        assert reply["verdict"] == "crash"
        assert "zygote" in reply["message"]
        assert eventually(lambda: not Path(f"/proc/{child}").exists())
        assert value(daemon) == "1"
        assert daemon.zygote_pids() != [zygote]


def test_a_stopped_zygote_is_replaced(folder: Path) -> None:
    """One that no longer answers is given some seconds beyond the deadline."""
    with running(f"{folder}/s", "--zygotes", "2") as daemon:
        stopped = daemon.zygote_pids()[0]
        os.kill(stopped, signal.SIGSTOP)
        reply = daemon.call(IDENTITY, "1", TIMEOUT=100)
        assert reply["verdict"] == "crash"
        assert value(daemon) == "1"
        assert eventually(lambda: stopped not in daemon.zygote_pids())


def test_end_of_the_daemon_is_the_end_of_everything(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "2") as daemon:
        zygotes = daemon.zygote_pids()
        connection = daemon.connect().connection_pool.get_connection()
        connection.send_command("RUN", "while True: pass", "TIMEOUT", 600000)
        assert eventually(lambda: any(map(children_of, zygotes)))
        everyone = zygotes + [child for zygote in zygotes for child in children_of(zygote)]
        daemon.process.kill()
        assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in everyone))


# --- life cycle


def test_sigterm_drains_and_removes_the_socket(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        assert daemon.first_line == f"ready {folder}/s\n"
        assert (folder / "s").stat().st_mode & 0o777 == 0o600
        connection = daemon.connect().connection_pool.get_connection()
        slow = f"import time; time.sleep(0.3)\n{IDENTITY}"
        connection.send_packed_command(
            connection.pack_commands([("CALL", slow, "f", 1, "1"), ("CALL", slow, "f", 1, "2")])
        )
        assert eventually(lambda: any(map(children_of, daemon.zygote_pids())))
        daemon.process.terminate()
        values = [connection.read_response()["results"][0]["value"] for _ in range(2)]
        assert values == ["1", "2"]
        assert daemon.process.wait(30) == 0
        assert not (folder / "s").exists()


def test_shutdown_command(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        with pytest.raises(redis.ConnectionError):
            daemon.connect().execute_command("SHUTDOWN")
        assert daemon.process.wait(30) == 0


def test_two_daemons_never_share_a_path(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1") as first:
        with running(f"{folder}/s", "--zygotes", "1") as second:
            assert second.process.wait(30) == 2
            assert "already serves" in second.process.stderr.read()
        assert value(first) == "1"


def test_a_stale_socket_is_replaced(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{folder}/s")
    with running(f"{folder}/s", "--zygotes", "1") as daemon:
        assert value(daemon) == "1"


def test_parent_death(folder: Path) -> None:
    program = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)\n"
        "assert p.stdout.readline().startswith('ready')\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(600)"
    )
    words = [executable(), "--socket", f"{folder}/s", "--zygotes", "1", "--parent-death"]
    parent = subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        daemon = int(parent.stdout.readline())
        parent.kill()
    assert eventually(lambda: not Path(f"/proc/{daemon}").exists() or is_zombie(daemon))
    assert not (folder / "s").exists()


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_an_empty_environment_is_enough(folder: Path) -> None:
    with running(f"{folder}/s", "--zygotes", "1", environment={}) as daemon:
        program = "import sys, os\ndef f(): return sys.prefix, dict(os.environ)"
        answer = daemon.call(program, "")["results"][0]["value"]
        assert repr(sys.base_prefix) in answer
        assert "'LANG': 'C.UTF-8'" in answer


# --- refusing to start


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "--socket PATH is needed"),
        (["--socket", "/" + "x" * 200], "use a shorter one"),
        (["--socket", "/no/such/folder/s"], "/no/such/folder"),
        (["--socket", "/etc/passwd"], "is no socket"),
        (["--socket", "{}/s", "--require", "all"], "--require must be"),
        (["--socket", "{}/s", "--zygotes", "many"], "--zygotes must be a number"),
        (["--socket", "{}/s", "--colour", "red"], "unknown option '--colour'"),
        (
            ["--socket", "{}/s", "--preload", "math,no_such_module"],
            "cannot import 'no_such_module'",
        ),
        (["--socket"], "needs a value"),
    ],
)
def test_start_errors_are_one_line(folder: Path, options: list[str], complaint: str) -> None:
    words = [executable(), *(option.format(folder) for option in options)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("azr-sandboxd: ")


def test_check_prints_each_layer() -> None:
    done = subprocess.run(
        [executable(), "--check"], capture_output=True, text=True, timeout=120, check=False
    )
    lines = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()}
    assert lines["seccomp"] == lines["rlimits"] == lines["no_new_privs"] == "on"
    assert lines["level"] in ("full", "namespaces", "seccomp")
    assert done.returncode == 0


def test_help_and_version() -> None:
    for option, expected in (("--help", "--require LEVEL"), ("--version", "azr-sandboxd 0.")):
        done = subprocess.run(
            [executable(), option], capture_output=True, text=True, timeout=60, check=True
        )
        assert expected in done.stdout
