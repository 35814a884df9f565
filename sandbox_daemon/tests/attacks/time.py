"""Programs that want never to end."""

from __future__ import annotations

from .attack import Attack, any_of, timeout

ATTACKS: dict[str, Attack] = {
    "endless_loop": timeout("def f():\n  while True: pass"),
    "endless_body": timeout("while True: pass"),
    "swallows_everything": timeout(
        """
        def f():
            while True:
                try:
                    while True: pass
                except BaseException: pass
        """
    ),
    "ignores_signals": timeout(
        """
        import signal
        def f():
            for number in set(range(1, 65)) - {9, 19, 31, 32, 33}:
                signal.signal(number, signal.SIG_IGN)
            while True: pass
        """
    ),
    "ignores_the_cpu_limit": timeout(
        """
        import signal
        def f():
            signal.signal(signal.SIGXCPU, signal.SIG_IGN)
            while True: pass
        """,
        options={"CPU": 200, "TIMEOUT": 60_000},
    ),
    "finally_for_ever": timeout(
        "def f():\n  while True:\n    try: return 1\n    finally: continue"
    ),
    "sleeps": timeout("import time\ndef f(): time.sleep(1e6)"),
    "sleeps_in_c": timeout("import ctypes\ndef f(): ctypes.CDLL(None).sleep(10 ** 6)"),
    "blocks_signals": timeout(
        """
        import signal
        def f():
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
            while True: pass
        """
    ),
    "waits_for_itself": timeout(
        "import threading\ndef f():\n  lock = threading.Lock()\n  lock.acquire(); lock.acquire()"
    ),
    "reads_its_own_pipe": timeout("import os\ndef f(): os.read(os.pipe()[0], 1)"),
    "fills_its_own_pipe": timeout(
        """
        import os
        def f():
            end = os.pipe()[1]
            while True: os.write(end, bytes(4096))
        """
    ),
    "waits_for_an_event": timeout("import select\ndef f(): select.epoll().poll()"),
    "waits_for_a_signal": timeout("import signal\ndef f(): signal.pause()"),
    "one_long_operation": timeout("def f(): return 3 ** (10 ** 9)"),
    "sum_of_everything": timeout("def f(): return sum(range(10 ** 15))"),
    "endless_in_c": timeout(
        "import collections, itertools\ndef f(): collections.deque(itertools.repeat(1), 0)"
    ),
    "search_in_an_endless_sequence": timeout(
        "import itertools\ndef f(): return -1 in itertools.count()"
    ),
    "catastrophic_pattern": timeout("import re\ndef f(): re.match('(a+)+$', 'a' * 64 + 'b')"),
    "catastrophic_alternatives": timeout(
        "import re\ndef f(): re.match('(a|aa)*$', 'a' * 99 + 'b')"
    ),
    "quadratic_join": timeout(
        "import re\ndef f(): re.sub('(.*)(.*)(.*)x', '', 'a' * 20_000)", options={"TIMEOUT": 600}
    ),
    "factorial": timeout("import math\ndef f(): math.factorial(10 ** 8)"),
    "decimal_digits": any_of(
        """
        import decimal
        def f():
            decimal.getcontext().prec = 10 ** 8
            return decimal.Decimal(2).sqrt()
        """,
        "timeout",
        "memory",
    ),
    "towers_of_generators": timeout(
        """
        def f():
            digits = (d for d in iter(int, 1))
            for _ in range(50): digits = (d for d in digits)
            return max(digits)
        """
    ),
    "colliding_keys": timeout(
        """
        class K:
            def __hash__(self): return 1
            def __eq__(self, other): return False
        def f(): return len({K() for _ in range(10 ** 5)})
        """
    ),
    "hangs_in_message": timeout(
        """
        class E(Exception):
            def __str__(self):
                while True: pass
        def f(): raise E
        """
    ),
    "hangs_in_finalizer": timeout(
        """
        class D:
            def __del__(self):
                while True: pass
        def f(): D()
        """
    ),
    "hangs_in_output": timeout(
        """
        import sys
        def hang():
            while True: pass
        sys.stdout.flush = sys.stderr.flush = hang
        def f(): return 1
        """,
        value="1",  # a case that had ended keeps its result
        options={"TIMEOUT": 2000},
    ),
    "hangs_at_exit": timeout(
        "import atexit\n@atexit.register\ndef hang():\n  while True: pass", script=True
    ),
    "hangs_when_asked_for_its_entry": timeout(
        """
        class Meta(type):
            def __call__(self, *rest):
                while True: pass
        class f(metaclass=Meta): pass
        """
    ),
}
