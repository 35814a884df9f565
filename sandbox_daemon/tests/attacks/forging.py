"""Making a reply say more than "my function returned this", or finding what it should return."""

from __future__ import annotations

from .attack import Attack, any_of, crash, error, ok

# Programs that tamper and then answer: their answer is their own, nobody else's is touched.
TAMPERING: dict[str, Attack] = {
    "poisons_builtins": ok(
        """
        import builtins
        builtins.sorted = builtins.str = lambda *a: 'evil'
        builtins.repr = None
        def f(): return sorted([2, 1])
        """,
        "'evil'",
    ),
    "empties_builtins": ok("import builtins\nbuiltins.__dict__.clear()\ndef f(): return 1", "1"),
    "poisons_modules": ok(
        "import math, sys, json\nmath.sqrt = None\nsys.modules.clear()\ndef f(): return 1", "1"
    ),
    "poisons_json_and_pickle": ok(
        """
        import json, pickle
        json.dumps = json.loads = pickle.dumps = pickle.loads = lambda *a, **k: 'evil'
        def f(): return {'a': [1]}
        """,
        "{'a': [1]}",
    ),
    "replaces_import": ok(
        "import builtins\nbuiltins.__import__ = lambda *a: 1 / 0\ndef f(): return 1", "1"
    ),
    "replaces_seed": ok(
        "import random, sys\nsys.modules['random'] = None\nrandom.seed = None\ndef f(): return 1",
        "1",
        times=4,
        options={"SEED": 7},
    ),
    "poisons_repr_of_types": ok(
        """
        import ctypes, gc
        def f():
            (members,) = [d for d in gc.get_referents(int.__dict__) if type(d) is dict]
            members['__repr__'] = members['__str__'] = lambda self: '42'
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(int))
            return 7, [7], {7: 7}
        """,
        "(7, [7], {7: 7})",
    ),
    "patches_limits": ok(
        "import sys\nsys.set_int_max_str_digits(640)\ndef f(): return 10 ** 5000",
        "1" + "0" * 5000,
    ),
    "evil_stdout": ok(
        """
        import sys
        class S:
            def write(self, x): raise SystemExit
            def flush(self): raise SystemExit
        sys.stdout = sys.stderr = sys.__stdout__ = S()
        def f(): return 1
        """,
        "1",
    ),
    "closes_everything": ok(
        "import os\nos.closerange(0, 1000)\ndef f(): return 'still here'", "'still here'"
    ),
    "non_blocking_stdout": ok("import os\nos.set_blocking(1, False)\ndef f(): return 1", "1"),
    "swapped_descriptors": ok("import os\nos.dup2(0, 1)\nos.dup2(0, 2)\ndef f(): return 1", "1"),
    "trace_function": error(
        """
        import sys
        sys.settrace(lambda *a: 1 / 0)
        sys.setprofile(lambda *a: 1 / 0)
        def f(): return 1
        """,
        "ZeroDivisionError",
    ),
    "trace_function_that_rewrites_lines": ok(
        """
        import sys
        def tracer(frame, event, argument):
            if event == 'line': frame.f_globals['n'] = 99
            return tracer
        sys.settrace(tracer)
        n = 1
        def f():
            return n
        """,
        "99",
    ),
    "collector": ok(
        """
        import gc
        class D:
            def __del__(self): raise SystemExit
        def f():
            gc.set_threshold(1)
            D()
            x = D(); x.x = x
            return [[i] for i in range(300)][:2]
        """,
        "[[0], [1]]",
    ),
    "at_exit": ok("import atexit, os\natexit.register(os._exit, 3)\ndef f(): return 1", "1"),
    # An alarm every 10 us leaves a slow machine no time for anything but alarms.
    "answer_changed_by_alarm": any_of(
        """
        import signal
        x = [1] * 1000
        def change(*rest): x.clear()
        signal.signal(signal.SIGALRM, change)
        def f():
            signal.setitimer(signal.ITIMER_REAL, 1e-5, 1e-5)
            return x
        """,
        "ok",
        "crash",
        "timeout",
    ),
}

# Programs that look for what the broker will compare their answer with: it is not there.
SEARCHING: dict[str, Attack] = {
    "walks_frames": ok(
        """
        import sys
        def f():
            frame, n = sys._getframe(), 0
            while frame: frame, n = frame.f_back, n + 1
            return n
        """,
        "1",
    ),
    "walks_frames_of_threads": ok("import sys\ndef f(): return len(sys._current_frames())", "1"),
    "searches_the_collector": ok(
        """
        import gc
        def f():
            words = ('expect', 'verdict', 'answer_of')
            return [k for d in gc.get_objects() if type(d) is dict for k in list(d)
                    if type(k) is str and k.startswith(words)
                    and d.get('__name__') in (None, 'program') and d is not globals()][:3]
        """,
        "[]",
    ),
    "searches_its_arguments": ok(
        "import sys\ndef f(): return sys.argv, sys.orig_argv", "([''], [])"
    ),
    "searches_the_environment": ok(
        "import os\ndef f(): return sorted(os.environ)", "['HOME', 'LANG', 'TZ']"
    ),
    "searches_descriptors": ok(
        """
        import os
        def f():
            found = []
            for fd in range(4096):
                try: os.fstat(fd)
                except OSError: continue
                found.append(fd)
            return found
        """,
        "[0, 1, 2]",
    ),
    "searches_its_stdin": ok("import sys\ndef f(): return sys.stdin.read()", "''"),
    "searches_the_main_module": ok(
        """
        import sys
        def f():
            main = sys.modules.get('__main__')
            return [n for n in vars(main) if not n.startswith('__')] if main else []
        """,
        "[]",
    ),
    "reads_its_own_output": error("import os\ndef f(): return os.read(1, 99)", "OSError"),
}

# Ends that look like success.
PRETENDING: dict[str, Attack] = {
    "close_and_exit": crash("import os\ndef f():\n  os.closerange(0, 1000)\n  os._exit(0)"),
    "write_everywhere": crash(
        """
        import os
        def f():
            for fd in range(64):
                try: os.write(fd, bytes(999))
                except OSError: pass
            os._exit(0)
        """
    ),
    "fake_frames_on_stdout": crash(
        """
        import os, struct
        def f():
            case = struct.pack('=BBHiiIII', 1, 0, 0, 0, 0, 0, 0, 2) + b'42'
            done = struct.pack('=BBHiiIII', 4, 0, 0, 0, 0, 0, 0, 0)
            for fd in range(3):
                try: os.write(fd, bytes(16) + case + bytes(16) + done)
                except OSError: pass
            os._exit(0)
        """
    ),
    "fake_reply_and_exit": crash(
        "import os\ndef f():\n  print('%1\\r\\n+verdict\\r\\n+ok\\r\\n', flush=True)\n  os._exit(0)"
    ),
    "forged_signal_handler": error(
        "import signal\ndef f(): signal.signal(signal.SIGSYS, signal.SIG_IGN)", "PermissionError"
    ),
    "jumps_back_after_refusal": any_of(
        """
        import ctypes, signal
        libc = ctypes.CDLL(None)
        def f():
            libc.signal(31, 1)
            libc.unshare(0x10000000)
            return 'went on'
        """,
        "denied",
    ),
    "exits_while_a_record_is_due": crash(
        "import os, threading\nclass D:\n  def __del__(self): os._exit(0)\n"
        "def f():\n  x = D()\n  return 1"
    ),
}

ATTACKS: dict[str, Attack] = TAMPERING | SEARCHING | PRETENDING
