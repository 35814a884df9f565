"""Reaching what processes share by the arguments of allowed system calls."""

from __future__ import annotations

from textwrap import dedent

from .attack import Attack, denied, error, ok

MAPPED = """
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
FUTEX = {'x86_64': 202, 'aarch64': 98}[platform.machine()]
file = open(ctypes.__file__)
page = libc.mmap(None, 4096, 1, SHARE, file.fileno(), 0)
def futex(operation): return libc.syscall(FUTEX, ctypes.c_void_p(page), operation, 1, 0, 0, -1)
"""


def futex(operation: int, share: int = 1) -> Attack:
    return denied(
        f"{MAPPED.replace('SHARE', str(share))}\ndef f(): return futex({operation})", "futex"
    )


def refused(name: str, statement: str) -> Attack:
    """With an errno, which the program sees."""
    program = f"""
        import ctypes, errno, fcntl, mmap, os, time
        libc = ctypes.CDLL(None, use_errno=True)
        def check(result):
            if result < 0: raise OSError(ctypes.get_errno(), '')
        def f():
            try: {statement}
            except OSError as error: return errno.errorcode[error.errno]
    """
    return ok(dedent(program), repr(name))


ATTACKS: dict[str, Attack] = {
    "wait_for_a_word_of_a_file": futex(0),
    "wake_at_a_word_of_a_file": futex(1),
    "wake_in_a_private_mapping": futex(1, 2),
    "wait_for_bits": futex(9),
    "wait_by_another_clock": futex(256),
    "move_who_waits": futex(3),
    "lock_with_priority": futex(6),
    "word_of_its_own": ok(f"{MAPPED.replace('SHARE', '1')}\ndef f(): return futex(1 | 128)", "0"),
    # Half of all, whatever others do.
    "free_memory": ok(
        "import os\ndef f(): return os.sysconf('SC_PHYS_PAGES') // os.sysconf('SC_AVPHYS_PAGES')",
        "2",
    ),
    "merged_pages": refused("EPERM", "mmap.mmap(-1, 4096).madvise(12)"),
    "page_cache": refused("EPERM", "mmap.mmap(-1, 4096).madvise(3)"),
    "huge_pages": refused("EPERM", "mmap.mmap(-1, 2 << 20, 0x40022)"),
    "cpu_time_of_init": refused("EPERM", "time.clock_gettime(~1 << 3 | 2)"),
    "cpu_time_of_init_by_sleep": error(
        "import time\ndef f(): return time.clock_getres(~1 << 3 | 2)", "PermissionError"
    ),
    "lock_of_an_open_file": refused("EPERM", "fcntl.fcntl(os.open(os.__file__, 0), 37, bytes(32))"),
    "lock_of_a_device": refused("EPERM", "fcntl.lockf(os.open('/dev/null', 0), fcntl.LOCK_SH)"),
    "who_holds_a_lock": refused("EPERM", "fcntl.fcntl(os.open(os.__file__, 0), 5, bytes(32))"),
    "owner_of_a_descriptor": refused("EPERM", "fcntl.fcntl(0, fcntl.F_SETOWN, 1)"),
}
