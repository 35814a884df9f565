"""Ends without a result, however they look."""

from __future__ import annotations

from .attack import Attack, any_of, crash, error, ok

ATTACKS: dict[str, Attack] = {
    "os_exit_zero": crash("import os\ndef f(): os._exit(0)"),
    "os_exit_refusal": crash("import os\ndef f(): os._exit(159)"),
    "os_exit_as_if_a_layer_had_failed": crash("import os\ndef f(): os._exit(120)"),
    "os_exit_while_loading": crash("import os\nos._exit(0)\ndef f(): return 1"),
    "os_exit_in_finalizer": crash(
        "import os\nclass D:\n  def __del__(self): os._exit(0)\ndef f(): D()"
    ),
    "os_exit_in_message": crash(
        "import os\nclass E(Exception):\n  def __str__(self): os._exit(0)\ndef f(): raise E"
    ),
    "os_exit_of_script": crash("import os\nos._exit(0)", script=True),
    "os_exit_at_exit": crash("import atexit, os\natexit.register(os._exit, 0)", script=True),
    "exit_of_the_c_library": crash("import ctypes\ndef f(): ctypes.CDLL(None).exit(0)"),
    "exit_by_number": crash(
        """
        import ctypes, platform
        def f(): ctypes.CDLL(None).syscall({'x86_64': 231, 'aarch64': 94}[platform.machine()], 0)
        """
    ),
    "abort": crash("import os\ndef f(): os.abort()", 6),
    "null_pointer": crash("import ctypes\ndef f(): ctypes.string_at(0)", 11),
    "wild_write": crash("import ctypes\ndef f(): ctypes.memset(4096, 0, 99)", 11),
    "wild_jump": crash("import ctypes\ndef f(): ctypes.CFUNCTYPE(None)(16)()", 11),
    "illegal_instruction": crash(
        """
        import ctypes, mmap, os
        def f():
            page = mmap.mmap(-1, 4096, prot=7)
            page.write(b'\\x0f\\x0b' if os.uname().machine == 'x86_64' else bytes(4))
            ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        """,
        4,
    ),
    "bus_error": crash("import os, signal\ndef f(): os.kill(os.getpid(), signal.SIGBUS)", 7),
    "signal_to_itself": crash("import signal\ndef f(): signal.raise_signal(15)", 15),
    "stack_overflow_in_c": any_of(
        """
        import ctypes, sys
        libc = ctypes.CDLL(None)
        compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        sys.setrecursionlimit(10 ** 9)
        @compare
        def again(a, b):
            libc.qsort(bytes(16), 2, 8, again)
            return 0
        def f(): again(None, None)
        """,
        "crash",
        "ok",  # later versions of Python count the C stack themselves
    ),
    "destroyed_code": any_of(
        """
        import types
        def f():
            code = f.__code__.replace(co_code=bytes([100, 200] * 50), co_consts=())
            return types.FunctionType(code, {})()
        """,
        "crash",
        "error",
        "denied",
        "timeout",
    ),
    "zero_reference_count": any_of(
        """
        import ctypes
        def f():
            x = [[] for _ in range(1000)]
            for y in x: ctypes.c_ssize_t.from_address(id(y)).value = 0
            del x, y
        """,
        "crash",
        "ok",
        "memory",
        "timeout",
    ),
    "freed_interpreter_state": crash(
        "import ctypes\ndef f(): ctypes.pythonapi.Py_FinalizeEx(); ctypes.string_at(0)"
    ),
    "fatal_error": crash("import ctypes\ndef f(): ctypes.pythonapi.Py_FatalError(b'x')", 6),
    "crash_handler": crash(
        "import ctypes, faulthandler\ndef f(): faulthandler.enable(); ctypes.string_at(0)", 11
    ),
    "handles_its_own_crash": any_of(
        """
        import ctypes, signal
        signal.signal(signal.SIGSEGV, lambda *a: None)
        def f(): ctypes.string_at(0)
        """,
        "timeout",
        "crash",
    ),
    "sys_exit": error("import sys\ndef f(): sys.exit(0)", "SystemExit"),
    "sys_exit_while_loading": error("raise SystemExit(0)\ndef f(): return 1", "SystemExit"),
    "closes_standard_streams": ok(
        "import sys\ndef f(): sys.stdout.close(); sys.stderr.close(); sys.stdin.close()", "None"
    ),
}
