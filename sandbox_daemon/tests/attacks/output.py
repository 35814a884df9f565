"""More text than a program may write or return, and text that looks like something else."""

from __future__ import annotations

from .attack import Attack, any_of, error, ok, output

ATTACKS: dict[str, Attack] = {
    "stdout_flood": output("def f():\n  while True: print('x' * 10000)"),
    "stderr_flood": output("import os\ndef f():\n  while True: os.write(2, b'x' * 10000)"),
    "one_large_write": output("import os\ndef f(): os.write(1, bytes(64 << 20))"),
    "many_small_writes": output(
        "import os\ndef f():\n  while True: os.write(1, b'x')", options={"OUTPUT": 10_000}
    ),
    "both_streams": output(
        """
        import os
        def f():
            while True: os.write(1, bytes(999)); os.write(2, bytes(999))
        """
    ),
    "through_copies_of_descriptors": output(
        """
        import os
        def f():
            ends = [os.dup(1) for _ in range(32)]
            while True:
                for end in ends: os.writev(end, [bytes(4096)] * 64)
        """
    ),
    "flood_that_ignores_signals": output(
        """
        import os, signal
        def f():
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            while True:
                try: os.write(1, bytes(9999))
                except BaseException: pass
        """
    ),
    "flood_at_exit": output(
        "import atexit\n@atexit.register\ndef f():\n  while True: print('x' * 9999)", script=True
    ),
    "flood_in_traceback": output("raise Exception('x' * (4 << 20))", script=True),
    "flood_of_warnings": output(
        """
        import warnings
        warnings.simplefilter('always')
        def f():
            while True: warnings.warn('x' * 9999)
        """
    ),
    "buffered_to_the_end": output("import sys\ndef f(): sys.stdout.write('x' * (2 << 20))"),
    "large_result": output("def f(): return 'x' * (2 << 20)"),
    "large_bytes": output("def f(): return bytes(1 << 20)"),
    "large_list": output("def f(): return [0] * (1 << 20)"),
    "large_int": output("def f(): return 1 << (1 << 24)"),
    "large_set": output("def f(): return set(range(1 << 19))"),
    "large_dict": output("def f(): return {i: i for i in range(1 << 18)}"),
    "much_from_little": output(
        "def f():\n  x = 'x' * 1000\n  for _ in range(6): x = [x] * 20\n  return x"
    ),
    "deep_list": output("def f():\n  x = []\n  for _ in range(99): x = [x]\n  return x"),
    "deep_tuple": output("def f():\n  x = ()\n  for _ in range(10 ** 5): x = (x,)\n  return x"),
    "deep_dict": output("def f():\n  x = {}\n  for _ in range(99): x = {1: x}\n  return x"),
    "deep_frozenset": output(
        "def f():\n  x = frozenset()\n  for _ in range(99): x = frozenset([x])\n  return x"
    ),
    "cyclic_list": output("def f():\n  x = []\n  x.append(x)\n  return x"),
    "cyclic_dict": output("def f():\n  x = {}\n  x[1] = x\n  return x"),
    "list_of_itself_twice": output(
        "def f():\n  x = [0] * 9\n  for _ in range(60): x = [x, x]\n  return x"
    ),
    "lone_surrogate": ok("def f(): return '\\ud800'", "'\\ud800'"),
    "message_of_surrogates": error("def f(): raise ValueError('\\ud800' * 5000)", "ValueError"),
    "huge_message": error("def f(): raise ValueError('x' * (4 << 20))", "ValueError"),
    "huge_type_name": error("def f(): raise type('E' * (1 << 20), (Exception,), {})", "E" * 256),
    "protocol_in_message": error(
        "def f(): raise ValueError('\\r\\n+OK\\r\\n$-1\\r\\n*0\\r\\n')", "ValueError"
    ),
    "protocol_in_type": error(
        "def f(): raise type('E\\r\\n+OK\\r\\n', (Exception,), {})", "E\r\n+OK\r\n"
    ),
    "protocol_on_stdout": ok(
        "import os\ndef f(): return os.write(1, b'\\r\\n%1\\r\\n+verdict\\r\\n+ok\\r\\n')",
        "21",
    ),
    "protocol_in_value": ok("def f(): return '\\r\\n$-1\\r\\n'", "'\\r\\n$-1\\r\\n'"),
    "value_with_every_byte": ok(
        "def f(): return bytes(range(256)) == eval(repr(bytes(range(256)))), '\\0\\x1b[2J'",
        "(True, '\\x00\\x1b[2J')",
    ),
    "slow_flood": any_of(
        "import time\ndef f():\n  while True: print('x', flush=True); time.sleep(0.01)",
        "timeout",
    ),
}
