"""What a jail shows of devices and of /proc, and how signals end its programs."""

from __future__ import annotations

import tempfile
from textwrap import dedent

import pytest

from .conftest import Daemon, running
from .jails import is_fine, jail, jailed

__all__ = ["jail"]


def own_descriptors(daemon: Daemon) -> bool:
    """Whether this machine's kernel gives a zygote a /proc of its own; where its own is covered in
    part, as in some containers, it does not."""
    program = "import os\ndef f(): return os.path.lexists('/dev/fd')"
    return bool(jailed(daemon, program)["results"][0]["value"] == "True")


def test_usual_devices(jail: Daemon) -> None:
    program = """
        import errno, os
        def error(path, mode):
            try: open(path, mode, buffering=0).write(b'x')
            except OSError as e: return errno.errorcode[e.errno]
        def f():
            read = [open(f'/dev/{name}', 'rb').read(4) for name in ('null', 'zero', 'full')]
            lengths = [len(open(f'/dev/{name}', 'rb').read(9)) for name in ('random', 'urandom')]
            return (read, lengths, error('/dev/null', 'wb'), error('/dev/full', 'wb'),
                    error('/dev/sda', 'wb'), error('/dev/x', 'xb'),
                    sorted(set(os.listdir('/dev')) - {'fd', 'stdin', 'stdout', 'stderr'}))
    """
    expected = (
        [b"", bytes(4), bytes(4)],
        *([9, 9], None, "ENOSPC", "EROFS", "EROFS"),
        ["full", "null", "random", "shm", "urandom", "zero"],
    )
    reply = jailed(jail, program)
    assert reply["results"][0]["value"] == repr(expected), reply


def test_streams_by_their_names(jail: Daemon) -> None:
    if not own_descriptors(jail):
        pytest.skip("the kernel gives no /proc here")
    script = """
        import os
        text = open('/dev/stdin').read()
        open('/dev/stdout', 'w').write(text.upper())
        open('/dev/stderr', 'w').write('wrong\\n')
        print(open('/dev/fd/0').read(), end='')
        read, write = os.pipe()
        open(f'/dev/fd/{write}', 'w').write('by its number')
        print(os.read(read, 99).decode(), '0' in os.listdir('/dev/fd'))
    """
    reply = jail.run(dedent(script), TIER="jail", STDIN="hello\n")
    assert reply["stdout"] == "HELLO\nhello\nby its number True\n", reply
    assert (reply["stderr"], reply["verdict"]) == ("wrong\n", "ok")
    reply = jail.run("print(repr(open('/dev/stdin').read()))", TIER="jail")
    assert reply["stdout"] == "''\n"


# Below the folder that /dev/fd leads to: read, write, look for others.
PROC = {
    "memory_map": ("open('/.proc/self/maps').read()", "PermissionError"),
    "memory": ("open('/.proc/self/mem', 'rb')", "PermissionError"),
    "environment": ("open('/.proc/self/environ').read()", "PermissionError"),
    "score": ("open('/.proc/self/oom_score_adj', 'w').write('-1000')", "OSError"),
    "init": ("os.listdir('/.proc/1')", "FileNotFoundError"),
    "root_of_init": ("open('/.proc/1/root/etc/passwd')", "FileNotFoundError"),
    "root": ("open('/.proc/self/root/etc/passwd')", "FileNotFoundError"),
    "machine": ("open('/.proc/meminfo')", "FileNotFoundError"),
    "load": ("open('/.proc/loadavg')", "FileNotFoundError"),
    "kernel": ("open('/.proc/sys/kernel/hostname')", "FileNotFoundError"),
    "make": ("os.mkdir('/.proc/x')", "FileNotFoundError"),
}


@pytest.mark.parametrize("name", PROC)
def test_of_proc_there_are_descriptors_alone(jail: Daemon, name: str) -> None:
    if not own_descriptors(jail):
        pytest.skip("the kernel gives no /proc here")
    statement, error = PROC[name]
    (result,) = jailed(jail, f"import os\ndef f(): {statement}")["results"]
    assert (result["verdict"], result["type"]) == ("error", error), result


def test_of_processes_a_program_sees_its_own(jail: Daemon) -> None:
    if not own_descriptors(jail):
        pytest.skip("the kernel gives no /proc here")
    program = "import os\ndef f(): return len([n for n in os.listdir('/.proc') if n.isdigit()])"
    assert jailed(jail, program)["results"][0]["value"] == "1"


def test_shared_memory_is_its_own(jail: Daemon) -> None:
    program = """
        import _posixshmem, mmap, os
        def open_memory(flags):
            fd = _posixshmem.shm_open('/mine', flags, mode=0o600)
            os.ftruncate(fd, 4096)
            return mmap.mmap(fd, 4096)
        def f():
            before = os.listdir('/dev/shm')
            open_memory(os.O_CREAT | os.O_EXCL | os.O_RDWR)[:5] = b'hello'
            return before, open_memory(os.O_RDWR)[:5]
    """
    for _ in range(3):
        assert jailed(jail, program)["results"][0]["value"] == "([], b'hello')"
    large = "def f():\n  for i in range(9): open(f'/dev/shm/{i}', 'wb').write(bytes(8 << 20))"
    (result,) = jailed(jail, large)["results"]
    assert (result["verdict"], result["type"]) == ("error", "OSError")
    is_fine(jail)


# How a program ends itself, and the signal of its crash.
SUICIDES = {
    "kill": ("os.kill(os.getpid(), 9)", 9),
    "group": ("os.kill(0, 9)", 9),
    "by_a_thread": ("threading.Thread(target=os.kill, args=(1, 9)).start(); time.sleep(60)", 9),
    "pthread_kill": ("signal.pthread_kill(threading.main_thread().ident, 9)", 9),
    "by_its_child": ("os.fork() or os.kill(os.getppid(), 15) or os._exit(0); time.sleep(60)", 15),
    "alarm": ("signal.alarm(1); time.sleep(60)", 14),
    "abort": ("os.abort()", 6),
    "default_again": ("signal.signal(14, signal.SIG_DFL); signal.alarm(1); time.sleep(60)", 14),
    "no_handler_any_more": (
        "signal.signal(15, print); signal.signal(15, signal.SIG_DFL); os.kill(1, 15)",
        15,
    ),
}


@pytest.mark.parametrize("name", SUICIDES)
def test_a_program_that_ends_itself_crashed(jail: Daemon, name: str) -> None:
    statement, number = SUICIDES[name]
    program = f"import os, signal, threading, time\ndef f(): {statement}; return 'went on'"
    reply = jailed(jail, program)
    assert (reply["verdict"], reply["signal"]) == ("crash", number), reply
    is_fine(jail)


def test_processes_of_a_program_end_by_their_signals(jail: Daemon) -> None:
    program = """
        import os, signal, time
        def child(number):
            if (pid := os.fork()) == 0:
                os.kill(os.getpid(), number)
                time.sleep(60)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        def f(): return [child(n) for n in (1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 24, 40, 64)]
    """
    expected = [-n for n in (1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 24, 40, 64)]
    assert jailed(jail, program)["results"][0]["value"] == str(expected)


def test_handlers_of_a_program_are_its_own(jail: Daemon) -> None:
    program = """
        import os, signal
        seen = []
        def f():
            kinds = [signal.getsignal(n) for n in (10, 12, 15)] == [signal.SIG_DFL] * 3
            signal.signal(15, lambda *a: seen.append(a[0]))
            signal.signal(10, signal.SIG_IGN)
            os.kill(os.getpid(), 15); os.kill(os.getpid(), 10)
            signal.signal(15, signal.SIG_DFL)
            return kinds, seen, signal.getsignal(15) is signal.SIG_DFL
    """
    assert jailed(jail, program)["results"][0]["value"] == "(True, [15], True)"


def test_a_layer_that_a_jail_lacks_is_named_with_its_reason() -> None:
    """A folder to import from below /tmp would be hidden by the programs' own."""
    with tempfile.TemporaryDirectory(prefix="azr", dir="/tmp") as packages:
        words = ("--zygotes", "1", "--jail", "1", "--path", packages)
        with running(f"{packages}/s", *words) as daemon:
            said = daemon.process.communicate()[1]
            assert daemon.process.returncode == 2
        assert f"a /tmp of their own, which hides {packages}: import from another folder" in said
        assert "jail: needs the layer root, which is off (" in said
