"""Ends that look like ones for which the daemon has a word of its own."""

from __future__ import annotations

import platform

from .attack import Attack, crash, denied, error, ok


def sends_itself(number: int, way: str) -> Attack:
    program = f"import ctypes, os, signal\ndef f():\n  {way.format(n=number)}\n  return 1"
    return crash(program, number)


ATTACKS: dict[str, Attack] = {
    "cpu_limit": sends_itself(24, "os.kill(os.getpid(), {n})"),
    "cpu_limit_by_raise": sends_itself(24, "signal.raise_signal({n})"),
    "refused_call": sends_itself(31, "os.kill(os.getpid(), {n})"),
    "refused_call_by_raise": sends_itself(31, "signal.raise_signal({n})"),
    "refused_call_by_the_c_library": sends_itself(31, "ctypes.CDLL(None)['raise']({n})"),
    "killed": sends_itself(9, "signal.raise_signal({n})"),
    "fault": sends_itself(11, "signal.raise_signal({n})"),
    "bus_error": sends_itself(7, "signal.raise_signal({n})"),
    "alarm": sends_itself(14, "signal.raise_signal({n})"),
    "file_limit_is_ignored": ok("import signal\ndef f(): signal.raise_signal(25)", "None"),
    "status_of_a_layer": crash("import os\ndef f(): os._exit(151)"),
    "status_of_a_refusal": crash("import os\ndef f(): os._exit(159)  # and no more"),
    "memory_error_while_loading": error("raise MemoryError\ndef f(): pass", "MemoryError"),
    "memory_error_in_a_finalizer": ok(
        "class D:\n  def __del__(self): raise MemoryError\ndef f():\n  D()\n  return 1", "1"
    ),
    "class_named_as_a_reason": error(
        "class NotPlainValue(Exception): pass\ndef f(): raise NotPlainValue", "NotPlainValue"
    ),
}

# With the machine code of a return.
X86: dict[str, Attack] = {
    "refusal_of_a_patched_library": denied(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        def f():
            refused = libc.unshare
            for name in ('_exit', '_Exit', 'exit', 'getpid', 'raise', 'abort'):
                at = ctypes.cast(libc[name], ctypes.c_void_p).value
                libc.mprotect(ctypes.c_void_p(at & -4096), 8192, 7)
                (ctypes.c_char * 1).from_address(at)[0] = b'\\xc3'
            refused(0x10000000)
            return 1
        """,
        "unshare",
    ),
}
if platform.machine() == "x86_64":
    ATTACKS |= X86
