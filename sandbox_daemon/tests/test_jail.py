"""TIER jail: processes, threads and files of a program's own, which end with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import redis

from .conftest import Daemon, children_of, eventually, executable, running
from .jails import is_fine, jail, jailed, zygotes_of
from .test_forging import FORGER

__all__ = ["jail"]

ABSTRACT = "\0azr-jail-test"


# What programs may do here and nowhere else: program, value.
USES = {
    "files": (
        """
        import os
        def f():
            os.mkdir('sub')
            with open('sub/a', 'w') as file: file.write('text')
            os.rename('sub/a', 'sub/b')
            return os.getcwd(), os.listdir('/tmp/sub'), open('sub/b').read()
        """,
        "('/tmp', ['b'], 'text')",
    ),
    "temporary_file": (
        "import tempfile\ndef f():\n  with tempfile.TemporaryFile() as t: return t.write(b'abc')",
        "3",
    ),
    "database": (
        """
        import sqlite3
        def f():
            base = sqlite3.connect('base.db')
            base.execute('create table t (x)')
            base.execute('insert into t values (3)')
            base.commit()
            return base.execute('select x from t').fetchall()
        """,
        "[(3,)]",
    ),
    "fork": (
        """
        import os
        def f():
            pid = os.fork()
            if pid == 0: os._exit(7)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        """,
        "7",
    ),
    "a_process_that_runs_on_says_nothing": (
        """
        import os
        def f():
            if (pid := os.fork()) == 0: return 'child'
            os.waitpid(pid, 0)
            return 'parent'
        """,
        "'parent'",
    ),
    "a_refused_process_ends_alone": (
        """
        import os, socket
        def f():
            if (pid := os.fork()) == 0: socket.socket()
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        """,
        "159",
    ),
    "threads": (
        """
        import threading
        def f():
            seen = []
            threads = [threading.Thread(target=seen.append, args=(i,)) for i in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            return sorted(seen)
        """,
        "[0, 1, 2, 3, 4, 5, 6, 7]",
    ),
    "process_pool": (
        """
        import multiprocessing
        def square(x): return x * x
        def f():
            with multiprocessing.get_context('fork').Pool(2) as pool:
                return pool.map(square, range(5))
        """,
        "[0, 1, 4, 9, 16]",
    ),
    "event_loop": (
        "import asyncio\nasync def g(): return await asyncio.sleep(0.01, 5)\n"
        "def f(): return asyncio.run(g())",
        "5",
    ),
    "unix_sockets": (
        """
        import os, socket
        def f():
            server = socket.socket(socket.AF_UNIX)
            server.bind('/tmp/socket')
            server.listen()
            if os.fork() == 0:
                client = socket.socket(socket.AF_UNIX)
                client.connect('/tmp/socket')
                client.sendall(b'hello')
                os._exit(0)
            return server.accept()[0].recv(99)
        """,
        "b'hello'",
    ),
}


@pytest.mark.parametrize("name", USES)
def test_use(jail: Daemon, name: str) -> None:
    program, value = USES[name]
    reply = jailed(jail, program)
    assert reply["results"][0]["value"] == value, reply
    assert reply["tier"] == "jail"
    is_fine(jail)


# Program, verdict of the case, type of its error or name of the refused call.
HOSTILE = {
    "read_passwd": ("def f(): return open('/etc/passwd').read()", "error", "FileNotFoundError"),
    "write_root": ("def f(): open('/x', 'w')", "error", "OSError"),
    "write_library": ("import os\ndef f(): open(os.__file__, 'a')", "error", "PermissionError"),
    "read_proc": ("def f(): return open('/proc/1/environ').read()", "error", "FileNotFoundError"),
    "one_large_file": ("def f(): open('a', 'wb').write(bytes(100 << 20))", "error", "OSError"),
    "many_files": (
        "def f():\n  for i in range(10 ** 6): open(f'{i}', 'w').close()",
        "error",
        "OSError",
    ),
    "fill_the_folder": (
        "def f():\n  for i in range(99): open(f'{i}', 'wb').write(bytes(1 << 20))",
        "error",
        "OSError",
    ),
    "run_what_it_wrote": (
        """
        import os
        def f():
            open('a', 'w').write('#!/bin/sh')
            os.chmod('a', 0o755)
            os.execv('./a', ['a'])
        """,
        "denied",
        "execve",
    ),
    "inet": ("import socket\ndef f(): socket.socket()", "denied", "socket"),
    "netlink": (
        "import socket\ndef f(): socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "denied",
        "socket",
    ),
    "unshare": (
        "import ctypes\ndef f(): ctypes.CDLL(None).unshare(0x10000000)",
        "denied",
        "unshare",
    ),
    "clone_user_namespace": (
        "import ctypes\ndef f(): ctypes.CDLL(None).syscall(56, 0x10000011, 0, 0, 0, 0)",
        "denied",
        "clone",
    ),
    "mount": (
        "import ctypes\ndef f(): ctypes.CDLL(None).mount(b't', b'/tmp', b'tmpfs', 0, 0)",
        "denied",
        "mount",
    ),
    "unmount": (
        "import ctypes\ndef f(): ctypes.CDLL(None).umount2(b'/tmp', 2)",
        "denied",
        "umount2",
    ),
    "ptrace": ("import ctypes\ndef f(): ctypes.CDLL(None).ptrace(0, 0, 0, 0)", "denied", "ptrace"),
    "become_root": ("import os\ndef f(): os.setuid(0)", "error", "PermissionError"),
    "memory_file": ("import os\ndef f(): os.memfd_create('x')", "error", "PermissionError"),
    "shared_memory": (
        "import ctypes\ndef f(): ctypes.CDLL(None).shmget(1, 4096, 0o1777)",
        "denied",
        "shmget",
    ),
    "kill_somebody": ("import os\ndef f(): os.kill(2, 9)", "error", "ProcessLookupError"),
    "kill_everybody": ("import os\ndef f(): os.kill(-1, 9)", "error", "ProcessLookupError"),
    "thread_bomb": (
        "import threading\ndef f():\n"
        "  for _ in range(999): threading.Thread(target=threading.Event().wait).start()",
        "error",
        "RuntimeError",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(jail: Daemon, name: str) -> None:
    program, verdict, detail = HOSTILE[name]
    reply = jailed(jail, program, MEMORY=512 << 20)
    (result,) = reply["results"]
    assert result["verdict"] == verdict, reply
    assert (reply["syscall"] if verdict == "denied" else result["type"]) == detail, reply
    is_fine(jail)


def test_signals_to_its_group_reach_nobody_else(jail: Daemon) -> None:
    before = zygotes_of(jail)
    for number in (9, 15):
        reply = jailed(jail, f"import os\ndef f():\n  os.kill(0, {number})\n  return 1")
        assert (reply["verdict"], reply["signal"]) == ("crash", number), reply
    assert zygotes_of(jail) == before
    is_fine(jail)


BOMB = """
import os
def f():
    os.setsid() if os.fork() == 0 else None
    while True:
        try: os.fork()
        except OSError: pass
"""


def test_nothing_is_left_of_a_fork_bomb(jail: Daemon) -> None:
    """64 processes at most, sessions of their own; all end with the first."""
    assert jailed(jail, BOMB, TIMEOUT=500)["verdict"] == "timeout"
    assert [children_of(zygote) for zygote in zygotes_of(jail)] == [[], []]
    is_fine(jail)


def test_what_it_leaves_running_ends_with_it(jail: Daemon) -> None:
    program = """
        import os, time
        def f():
            if os.fork() == 0:
                os.setsid()
                time.sleep(600)
                os.write(1, b'late')
            return 1
    """
    reply = jailed(jail, program)
    assert reply["results"][0]["value"] == "1"
    assert [children_of(zygote) for zygote in zygotes_of(jail)] == [[], []]
    assert jailed(jail, "def f(): print('mine')")["stdout"] == "mine\n"


def test_abstract_sockets_of_the_host_are_out_of_reach(jail: Daemon) -> None:
    with socket.socket(socket.AF_UNIX) as host:
        host.bind(ABSTRACT)
        host.listen()
        program = f"""
            import socket
            def f(): socket.socket(socket.AF_UNIX).connect({ABSTRACT!r})
        """
        (result,) = jailed(jail, program)["results"]
    assert result["type"] in ("ConnectionRefusedError", "PermissionError"), result


def test_a_process_that_crashes_ends_alone(jail: Daemon) -> None:
    program = """
        import os
        def f():
            if (pid := os.fork()) == 0: os.kill(os.getpid(), 11)
            return os.waitpid(pid, 0)[1]
    """
    assert jailed(jail, program)["results"][0]["value"] == "11"
    is_fine(jail)


FORGED_BY_A_PROCESS = """
    if (pid := os.fork()):
        os.waitpid(pid, 0)
        return 'mine'
    leave(record(LOAD), record(CASE, value=b'1'), record(DONE))
"""


def test_records_of_two_processes_are_damaged(jail: Daemon) -> None:
    """One writes a whole set into the shared memory, the first one then adds its own."""
    program = FORGER.replace("    leave({})\n", FORGED_BY_A_PROCESS)
    reply = jail.call(program, "", TIER="jail")
    assert (reply["verdict"], reply["message"]) == ("crash", "its records are damaged"), reply
    assert reply["results"][0]["value"] is None
    is_fine(jail)


SIX_TIMES_100_MIB = """
import os
def f():
    pids = []
    for _ in range(6):
        if (pid := os.fork()) == 0:
            hold = bytearray(b'x') * (100 << 20)
            os.kill(os.getpid(), 15) if os.read(READ, 1) else None
        pids.append(pid)
    for pid in pids: os.write(WRITE, b'x')
    return [os.waitpid(pid, 0)[1] for pid in pids].count(9) > 0
READ, WRITE = os.pipe()
"""


def test_memory_of_all_processes_together(jail: Daemon) -> None:
    """Each is within its limit, their sum is not; where there are control groups."""
    with jail.connect() as connection:
        bounded = connection.info("security")["cgroup"].startswith("on")
    reply = jailed(jail, SIX_TIMES_100_MIB, MEMORY=250 << 20)
    (result,) = reply["results"]
    assert (result["value"] == "True" or result["verdict"] == "memory") == bounded, reply
    is_fine(jail)


def test_scripts_run_in_it_too(jail: Daemon) -> None:
    reply = jail.run(
        "open('a', 'w').write(input()); print(open('a').read())", TIER="jail", STDIN="hi"
    )
    assert (reply["exit"], reply["stdout"], reply["tier"]) == (0, "hi\n", "jail")


def test_the_default_is_the_fork_tier(jail: Daemon) -> None:
    reply = jail.call("def f(): open('/tmp/x', 'w')", "")
    assert (reply["tier"], reply["results"][0]["verdict"]) == ("fork", "error")
    assert jail.call("def f(): return 1", "", TIER="fork")["tier"] == "fork"


def test_a_killed_zygote_of_jails_is_replaced(jail: Daemon) -> None:
    before = zygotes_of(jail)
    os.kill(before[0], signal.SIGKILL)
    assert eventually(lambda: before[0] not in zygotes_of(jail))
    is_fine(jail)


def test_refusals_name_what_to_do(jail: Daemon, folder: Path) -> None:
    with pytest.raises(redis.ResponseError, match="'TIER' must be rewind, fork or jail"):
        jail.call("", TIER="none")
    with running(f"{folder}/s", "--zygotes", "1", "--pools", "a=1") as plain:
        with pytest.raises(redis.ResponseError, match="start the daemon with --jail"):
            plain.call("", TIER="jail")
        with pytest.raises(redis.ResponseError, match="the pool 'a' has no jail"):
            plain.call("", TIER="jail", POOL="a")


def test_no_jail_without_namespaces(folder: Path) -> None:
    """A machine that grants none is told so, by name."""
    words = ["unshare", "--user", "--map-root-user", "sh", "-c"]
    script = (
        "echo 0 > /proc/sys/user/max_user_namespaces; echo 0 > /proc/sys/user/max_pid_namespaces;"
        f" exec {executable()} --socket {folder}/s --zygotes 1 --jail 1"
    )
    done = subprocess.run([*words, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "jail: needs the layer user_ns, which is off" in done.stderr
