"""Programs that run side by side cannot talk by what a system call's arguments name.

Each channel is a program that agrees with another run of itself on something random, and so makes
it look deterministic. Two plain processes show that it works; two replicas must not agree.
"""

from __future__ import annotations

import ast
import mmap
import platform
import random
import subprocess
import sys
from textwrap import dedent

import pytest

from .conftest import Daemon
from .tiers import TIERS, tiers

__all__ = ["tiers"]

# Of futex, set_robust_list, membarrier and clock_gettime.
NUMBERS = (202, 273, 324, 228) if platform.machine() == "x86_64" else (98, 99, 283, 113)

# Both ways of a futex on a page of a file that all may read: WAIT and WAKE are operations of
# futex(2), SHARE the flags of the mapping. After a second without anybody the two give up.
FUTEX = """
    import ctypes, os, time
    L = ctypes.CDLL(None)
    S = L.syscall
    S.argtypes = [ctypes.c_long] * 7
    L.mmap.restype = ctypes.c_void_p
    file = open(os.path.dirname(os.__file__) + "/pydoc_data/topics.py")
    page = L.mmap(None, 4096, 1, SHARE, file.fileno(), PLACE)
    moment = (ctypes.c_long * 2)(0, 2_000_000)
    end = time.monotonic() + 20

    def word(at): return int.from_bytes(ctypes.string_at(page + at, 4), "little")

    def until(condition):
        while not condition():
            if time.monotonic() > end: raise TimeoutError

    def wait(at):
        return S(FUTEX, page + at, WAIT, word(at), ctypes.addressof(moment), 0, -1) == 0

    def wake(at): return S(FUTEX, page + at, WAKE, 1, 0, page + at, -1) == 1

    def lead(told):
        for bit in range(32): until(lambda: wake(1024 + 8 * bit + 4 * (told >> bit & 1)))
        return told

    def follow():
        heard = [None] * 32
        def hear(bit):
            if wait(1024 + 8 * bit): heard[bit] = 0
            elif wait(1024 + 8 * bit + 4): heard[bit] = 1
            return heard[bit] is not None
        for bit in range(32): until(lambda: hear(bit))
        return sum(value << bit for bit, value in enumerate(heard))

    def meet():
        while time.monotonic() < end:
            if wake(2048): return lead(int.from_bytes(os.urandom(4), "little"))
            if wait(2048): return follow()
        raise TimeoutError
"""

# Flags that another process sees: raise_flag(i), and sees_flag(i) of another's. Each shows all bits
# of a number of its own; the exclusive or of both is what they agree on.
FLAGS = """
    import ctypes, fcntl, os, struct, time
    end = time.monotonic() + 20

    def until(condition):
        while not condition():
            if time.monotonic() > end: raise TimeoutError

    def meet():
        own = int.from_bytes(os.urandom(2), "little")
        for bit in range(16):
            if own >> bit & 1: raise_flag(bit)
        raise_flag(16)
        until(lambda: sees_flag(16))
        other = sum(sees_flag(bit) << bit for bit in range(16))
        raise_flag(17)
        until(lambda: sees_flag(17))
        time.sleep(0.2)
        return own ^ other
"""

POSIX_LOCKS = """
    def lock(type_, at): return struct.pack("hhqqi", type_, 0, PLACE + at, 1, 0)
    def raise_flag(at): fcntl.fcntl(fd, fcntl.F_SETLK, lock(fcntl.F_RDLCK, at))
    def sees_flag(at):
        held = fcntl.fcntl(fd, GETLK, lock(fcntl.F_WRLCK, at))
        return struct.unpack("hhqqi", held)[0] != fcntl.F_UNLCK
"""

# Each has the even bytes or the odd ones, as whoever comes first decides.
WRITE_LOCKS = """
    def take(at): fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, PLACE + at)
    def side():
        try: take(1000)
        except BlockingIOError: return 1
        return 0
    own = side()
    def raise_flag(at): take(2 * at + own)
    def sees_flag(at):
        wanted = struct.pack("hhqqi", fcntl.F_WRLCK, 0, PLACE + 2 * at + 1 - own, 1, 0)
        return struct.unpack("hhqqi", fcntl.fcntl(fd, fcntl.F_GETLK, wanted))[0] != fcntl.F_UNLCK
"""

OFD_LOCKS = """
    def lock(type_, at): return struct.pack("hhqqi", type_, 0, PLACE + at, 1, 0)
    def raise_flag(at): fcntl.fcntl(fd, 37, lock(fcntl.F_RDLCK, at))
    def sees_flag(at):
        held = fcntl.fcntl(fd, 36, lock(fcntl.F_WRLCK, at))
        return struct.unpack("hhqqi", held)[0] != fcntl.F_UNLCK
"""

LIBRARY = "fd = os.open(os.__file__, os.O_RDONLY)"
NULL = "fd = os.open('/dev/null', os.O_RDWR)"

SHARED, PRIVATE = "1", "2"
# Of a page of a large file of the library: most often not the one of tests that run elsewhere.
PLACE = mmap.PAGESIZE * random.randrange((600 << 10) // mmap.PAGESIZE)


def futex(wait: str, wake: str, share: str = SHARED) -> str:
    operations = f"FUTEX, WAIT, WAKE, SHARE = {NUMBERS[0]}, {wait}, {wake}, {share}\n"
    return f"{operations}PLACE = {PLACE}\n{dedent(FUTEX)}"


def locks(opened: str, kind: str, getlk: str = "fcntl.F_GETLK") -> str:
    return f"{dedent(FLAGS)}{opened}\nGETLK, PLACE = {getlk}, {PLACE}\n{dedent(kind)}"


CHANNELS: dict[str, str] = {
    "futex": futex("0", "1"),
    "futex_of_a_private_mapping": futex("0", "1", PRIVATE),
    "futex_by_bits": futex("9", "10"),
    "futex_of_another_clock": futex("9 | 256", "1"),
    "futex_woken_by_a_move": futex("0", "3"),
    "read_locks": locks(LIBRARY, POSIX_LOCKS),
    "write_locks_of_a_device": locks(NULL, WRITE_LOCKS),
    "locks_of_descriptors": locks(LIBRARY, OFD_LOCKS),
}


def agreed(program: str) -> str:
    """A program whose result is what it agrees on with its like, or else a number of its own."""
    return program + dedent(
        """
        def f():
            try: return meet()
            except TimeoutError: return os.urandom(8)
        """
    )


@pytest.mark.parametrize("name", CHANNELS)
def test_two_plain_processes_agree(name: str) -> None:
    """The proof that the channel is one; what the sandbox does about it would else show nothing."""
    command = [sys.executable, "-c", agreed(CHANNELS[name]) + "\nprint(f())"]
    pair = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (one.communicate(timeout=60)[0] for one in pair)
    assert first == second != ""


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", CHANNELS)
def test_replicas_do_not_agree(tiers: Daemon, name: str, tier: str) -> None:
    program = agreed(CHANNELS[name]).replace("monotonic() + 20", "monotonic() + 0.5")
    reply = tiers.call(program, "", REPLICAS=2, TIER=tier)
    assert reply["results"][0]["value"] is None, reply


@pytest.mark.parametrize("name", CHANNELS)
def test_replicas_do_not_agree_where_only_the_filter_holds(weakest: Daemon, name: str) -> None:
    program = agreed(CHANNELS[name]).replace("monotonic() + 20", "monotonic() + 0.5")
    reply = weakest.call(program, "", REPLICAS=2)
    assert reply["results"][0]["value"] is None, reply


def test_replicas_in_a_jail_run_one_after_another(tiers: Daemon) -> None:
    """Since nothing keeps programs in jails from talking while both run. The kernel's time of day
    is the same for both, though the C library tells another one."""
    program = f"""
        import ctypes, time
        now = (ctypes.c_long * 2)()
        def true_time():
            assert ctypes.CDLL(None).syscall({NUMBERS[3]}, 0, now) == 0
            return tuple(now)
        def f():
            begun = true_time()
            time.sleep(0.2)
            return begun, true_time()
    """
    reply = tiers.call(dedent(program), "", REPLICAS=2, TIER="jail")
    times = sorted(ast.literal_eval(text) for (text,) in reply["replicas"])
    assert times[0][1] < times[1][0]
    assert reply["verdict"] == "nondeterministic"


@pytest.mark.parametrize("name", [name for name in CHANNELS if name.startswith("futex")])
@pytest.mark.parametrize("tier", ["rewind", "fork"])
def test_a_futex_of_a_file_is_denied(tiers: Daemon, name: str, tier: str) -> None:
    reply = tiers.call(agreed(CHANNELS[name]), "", TIER=tier)
    assert (reply["verdict"], reply["syscall"], reply["tier"]) == ("denied", "futex", "fork"), reply


def test_nobody_outside_hears_a_program(tiers: Daemon) -> None:
    """One who waits at the same page of the same file, as any user may."""
    end = "end = time.monotonic() + 3\n"
    listener = f"{CHANNELS['futex']}\n{end}until(lambda: wait(2048))\n"
    with subprocess.Popen([sys.executable, "-c", listener], stderr=subprocess.DEVNULL) as outside:
        caller = f"{CHANNELS['futex']}\n{end}def f(): until(lambda: wake(2048))"
        for tier in ("rewind", "fork"):
            assert tiers.call(caller, "", TIER=tier)["verdict"] == "denied"
        assert outside.wait(60) != 0


def test_a_listener_outside_hears_plain_processes() -> None:
    end = "end = time.monotonic() + 20\n"
    listener = f"{CHANNELS['futex']}\n{end}until(lambda: wait(2048))\n"
    with subprocess.Popen([sys.executable, "-c", listener]) as outside:
        caller = f"{CHANNELS['futex']}\n{end}until(lambda: wake(2048))"
        subprocess.run([sys.executable, "-c", caller], check=True, timeout=60)
        assert outside.wait(60) == 0


def errno_of(daemon: Daemon, statement: str, tier: str) -> str | None:
    """The error's name that a statement gets; None when it succeeds."""
    program = f"""
        import ctypes, errno, fcntl, mmap, os, resource, time
        L = ctypes.CDLL(None, use_errno=True)
        def check(result):
            if result < 0: raise OSError(ctypes.get_errno(), "")
        def f():
            try: {statement}
            except OSError as error: return errno.errorcode[error.errno]
    """
    (result,) = daemon.call(dedent(program), "", TIER=tier)["results"]
    assert result["verdict"] == "ok", result
    return None if result["value"] == "None" else result["value"].strip("'")


# What tells of others, or reaches them, by an argument: statement, error in the fork tier.
REFUSED = {
    "huge_pages_of_the_machine": (
        "mmap.mmap(-1, 2 << 20, mmap.MAP_PRIVATE | 0x20 | 0x40000)",
        "EPERM",
    ),
    "merged_pages": ("mmap.mmap(-1, 4096).madvise(mmap.MADV_MERGEABLE)", "EPERM"),
    "cpu_time_of_init": ("time.clock_gettime(~1 << 3 | 2)", "EPERM"),
    "robust_list": (f"check(L.syscall({NUMBERS[1]}, 0, 24))", "ENOSYS"),
    "barrier": (f"check(L.syscall({NUMBERS[2]}, 1, 0, 0))", "ENOSYS"),
    "limits_of_init": ("resource.prlimit(1, resource.RLIMIT_CPU)", "EPERM"),
    "whole_file_lock": ("fcntl.flock(os.open(os.__file__, 0), fcntl.LOCK_SH)", "ENOSYS"),
    "lease": ("fcntl.fcntl(os.open(os.__file__, 0), fcntl.F_SETLEASE, fcntl.F_RDLCK)", "EPERM"),
    "notice": ("fcntl.fcntl(os.open('/lib', 0), fcntl.F_NOTIFY, 1)", "EPERM"),
    "owner": ("fcntl.fcntl(0, fcntl.F_SETOWN, 1)", "EPERM"),
    "signal_of_owner": ("fcntl.fcntl(0, fcntl.F_SETSIG, 9)", "EPERM"),
    "memory_file": ("os.memfd_create('x')", "EPERM"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_names_others_is_refused(tiers: Daemon, name: str) -> None:
    statement, error = REFUSED[name]
    assert errno_of(tiers, statement, "fork") == error
    in_jail = {"cpu_time_of_init": None, "robust_list": None, "limits_of_init": "EPERM"}
    assert errno_of(tiers, statement, "jail") == in_jail.get(name, error)


def test_reading_leaves_no_time(tiers: Daemon) -> None:
    """The time of a file's last reading, by which the next program would know: read-only mounts."""
    program = """
        import os
        def f():
            name = os.path.dirname(os.__file__) + "/this.py"
            os.read(os.open(name, os.O_RDONLY), 99)
            return os.stat(name).st_atime_ns
    """
    seen = [
        tiers.call(dedent(program), "", TIER=tier)["results"][0]["value"]
        for tier in ("fork", "jail", "fork")
    ]
    assert len(set(seen)) == 1
