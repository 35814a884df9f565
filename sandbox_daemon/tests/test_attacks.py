"""Hostile programs, one behaviour each: the right verdict, and the next program is not affected."""

from __future__ import annotations

from textwrap import dedent

import pytest

from .conftest import Daemon, next_program_is_fine

# Where mounts are missing, Landlock or the filter refuses what else is not there at all.
NO_FILE = ("FileNotFoundError", "PermissionError", "OSError")

# name: (program, verdict of the case, type of its error or name of the refused call)
ATTACKS: dict[str, tuple[str, str, str | tuple[str, ...] | None]] = {
    # process
    "os_exit_zero": ("import os\ndef f(): os._exit(0)", "crash", None),
    "os_exit_refusal": ("import os\ndef f(): os._exit(159)", "crash", None),
    "sys_exit": ("import sys\ndef f(): sys.exit(0)", "error", "SystemExit"),
    "base_exception": (
        "class Mine(BaseException): pass\ndef f(): raise Mine('x')",
        "error",
        "Mine",
    ),
    "keyboard_interrupt": ("def f(): raise KeyboardInterrupt", "error", "KeyboardInterrupt"),
    "fork": ("import os\ndef f(): os.fork()", "error", "BlockingIOError"),
    "fork_bomb": (
        "import os\ndef f():\n  while True:\n    try: os.fork()\n    except OSError: pass",
        "timeout",
        None,
    ),
    "subprocess": ("import subprocess\ndef f(): subprocess.run(['true'])", "denied", None),
    "execve": ("import os\ndef f(): os.execv('/bin/sh', ['sh'])", "denied", "execve"),
    "thread": (
        "import threading\ndef f(): threading.Thread(target=print).start()",
        "error",
        "RuntimeError",
    ),
    "kill_everything": ("import os\ndef f(): os.kill(-1, 9)", "denied", "kill"),
    "kill_group": ("import os\ndef f(): os.kill(0, 9)", "denied", "kill"),
    "kill_parent": ("import os\ndef f(): os.kill(os.getppid(), 9)", "denied", "kill"),
    "kill_init": ("import os\ndef f(): os.kill(1, 9)", "denied", "kill"),
    "kill_itself": ("import os\ndef f(): os.kill(os.getpid(), 9)", "crash", None),
    "stop_itself": ("import os\ndef f(): os.kill(os.getpid(), 19)", "timeout", None),
    "abort": ("import os\ndef f(): os.abort()", "crash", None),
    "own_session": ("import os\ndef f(): os.setsid()", "error", "PermissionError"),
    "become_root": ("import os\ndef f(): os.setuid(0)", "error", "PermissionError"),
    "ptrace": (
        "import ctypes\ndef f(): ctypes.CDLL(None).ptrace(0, 0, 0, 0)",
        "denied",
        "ptrace",
    ),
    "new_namespace": (
        "import ctypes\ndef f(): ctypes.CDLL(None).unshare(0x10000000)",
        "denied",
        "unshare",
    ),
    "raise_limits": (
        "import resource\ndef f(): resource.setrlimit(resource.RLIMIT_NPROC, (9, 9))",
        "error",
        "ValueError",
    ),
    # time
    "endless_loop": ("def f():\n  while True: pass", "timeout", None),
    "swallows_everything": (
        "def f():\n  while True:\n    try:\n      while True: pass\n    except BaseException: pass",
        "timeout",
        None,
    ),
    "sleeps": ("import time\ndef f(): time.sleep(1e6)", "timeout", None),
    "blocks_signals": (
        "import signal\n"
        "def f():\n  signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\n  while True: pass",
        "timeout",
        None,
    ),
    "one_long_operation": ("def f(): return 3 ** (10 ** 9)", "timeout", None),
    "catastrophic_pattern": (
        "import re\ndef f(): return re.match('(a+)+$', 'a' * 64 + 'b')",
        "timeout",
        None,
    ),
    "hangs_in_message": (
        "class E(Exception):\n  def __str__(self):\n    while True: pass\ndef f(): raise E",
        "timeout",
        None,
    ),
    # memory and stack
    "memory_bomb": ("def f():\n  x = ['a']\n  while True: x += x", "memory", "MemoryError"),
    "huge_string": ("def f(): return 'a' * 10 ** 12", "memory", "MemoryError"),
    "huge_number": ("def f(): return 1 << 10 ** 11", "memory", "MemoryError"),
    "recursion": ("def f(): return f()", "error", "RecursionError"),
    "c_recursion": (
        "def f():\n  x = ()\n  for _ in range(2 * 10 ** 6): x = (x,)\n  return hash(x)",
        "crash",
        None,
    ),
    "null_pointer": ("import ctypes\ndef f(): ctypes.string_at(0)", "crash", None),
    # output
    "stdout_flood": ("def f():\n  while True: print('x' * 10000)", "output", None),
    "stderr_flood": (
        "import os\ndef f():\n  while True: os.write(2, b'x' * 10000)",
        "output",
        None,
    ),
    "large_result": ("def f(): return 'x' * (2 << 20)", "output", None),
    "deep_result": (
        "def f():\n  x = []\n  for _ in range(99): x = [x]\n  return x",
        "output",
        None,
    ),
    "cyclic_result": ("def f():\n  x = []\n  x.append(x)\n  return x", "output", None),
    # files
    "read_passwd": ("def f(): return open('/etc/passwd').read()", "error", NO_FILE),
    "read_proc": (
        "def f(): return open('/proc/self/environ').read()",
        "error",
        NO_FILE,
    ),
    "write_root": ("def f(): return open('/x', 'w')", "error", NO_FILE),
    "write_library": (
        "import os\ndef f(): return open(os.__file__, 'a').write('x')",
        "error",
        NO_FILE,
    ),
    "make_folder": ("import os\ndef f(): os.mkdir('/tmp')", "error", NO_FILE),
    "memory_file": ("import os\ndef f(): os.memfd_create('x')", "error", "PermissionError"),
    "open_device": ("def f(): return open('/dev/kmsg')", "error", NO_FILE),
    # network
    "socket": ("import socket\ndef f(): socket.socket()", "denied", "socket"),
    "socket_pair": ("import socket\ndef f(): socket.socketpair()", "denied", "socketpair"),
    "download": (
        "import urllib.request\ndef f(): urllib.request.urlopen('http://127.0.0.1')",
        "denied",
        "socket",
    ),
    # forging
    "equal_to_all": (
        "class E:\n  def __eq__(self, other): return True\ndef f(): return E()",
        "error",
        "NotPlainValue",
    ),
    "int_in_disguise": (
        "class I(int):\n  def __repr__(self): return '42'\ndef f(): return I(1)",
        "error",
        "NotPlainValue",
    ),
    "close_and_exit": (
        "import os\ndef f():\n  os.closerange(0, 1000)\n  os._exit(0)",
        "crash",
        None,
    ),
    "write_everywhere": (
        "import os\ndef f():\n  for fd in range(64):\n    try: os.write(fd, bytes(999))\n"
        "    except OSError: pass\n  os._exit(0)",
        "crash",
        None,
    ),
    "forged_signal_handler": (
        "import signal\ndef f(): signal.signal(signal.SIGSYS, signal.SIG_IGN)",
        "error",
        "PermissionError",
    ),
    "import_error": ("def f(): import no_such_module", "error", "ModuleNotFoundError"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(daemon: Daemon, name: str) -> None:
    program, verdict, detail = ATTACKS[name]
    patience = 600 if verdict == "timeout" else 30_000
    reply = daemon.call(program, "", TIMEOUT=patience, MEMORY=256 << 20)
    (result,) = reply["results"]
    assert (result["verdict"], result["value"]) == (verdict, None), reply
    if verdict in ("error", "memory"):
        assert result["type"] in (detail if isinstance(detail, tuple) else (detail,))
        assert reply["verdict"] == "ok"
    if verdict == "denied":
        assert reply["syscall"] == detail
    if verdict == "crash":
        assert reply["signal"] is not None or "without a result" in reply["message"]
    next_program_is_fine(daemon)


# Programs that tamper and then answer: their answer is their own, nobody else's is touched.
TAMPERING: dict[str, tuple[str, str]] = {
    "poisons_builtins": (
        "import builtins\nbuiltins.sorted = builtins.str = lambda *a: 'evil'\n"
        "builtins.repr = None\ndef f(): return sorted([2, 1])",
        "'evil'",
    ),
    "poisons_modules": (
        "import math, sys, json\nmath.sqrt = None\nsys.modules.clear()\ndef f(): return 1",
        "1",
    ),
    "patches_limits": (
        "import sys\nsys.set_int_max_str_digits(640)\ndef f(): return 10 ** 5000",
        "1" + "0" * 5000,
    ),
    "evil_stdout": (
        "import sys\nclass S:\n  def write(self, x): raise SystemExit\n"
        "  def flush(self): raise SystemExit\n"
        "sys.stdout = sys.stderr = sys.__stdout__ = S()\ndef f(): return 1",
        "1",
    ),
    "closes_everything": (
        "import os\nos.closerange(0, 1000)\ndef f(): return 'still here'",
        "'still here'",
    ),
    "non_blocking_stdout": ("import os\nos.set_blocking(1, False)\ndef f(): return 1", "1"),
    "trace_function": (
        "import sys\nsys.settrace(lambda *a: 1 / 0)\nsys.setprofile(lambda *a: 1 / 0)\n"
        "def f(): return 1",
        "1",
    ),
    "collector": (
        "import gc\nclass D:\n  def __del__(self): raise SystemExit\n"
        "def f():\n  gc.set_threshold(1)\n  D()\n  x = D(); x.x = x\n"
        "  return [[i] for i in range(300)][:2]",
        "[[0], [1]]",
    ),
    "at_exit": ("import atexit, os\natexit.register(os._exit, 3)\ndef f(): return 1", "1"),
    "walks_frames": (
        "import sys\ndef f():\n  frame, n = sys._getframe(), 0\n"
        "  while frame: frame, n = frame.f_back, n + 1\n  return n",
        "1",
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering(daemon: Daemon, name: str) -> None:
    program, value = TAMPERING[name]
    reply = daemon.call(program, "")
    if name == "trace_function":  # its own tracer breaks its own call
        assert reply["results"][0]["type"] == "ZeroDivisionError"
    else:
        assert reply["results"][0]["value"] == value, reply
    next_program_is_fine(daemon)


def test_no_state_survives_a_program(daemon: Daemon) -> None:
    mark = dedent("""
        import builtins, math, os, sys
        def f():
            seen = (hasattr(builtins, 'mark'), hasattr(math, 'mark'), 'mark' in os.environ,
                    'mark' in sys.modules)
            builtins.mark = math.mark = os.environ['mark'] = 'x'
            sys.modules['mark'] = sys
            return seen
    """)
    for _ in range(6):
        assert daemon.call(mark, "")["results"][0]["value"] == "(False, False, False, False)"


@pytest.mark.parametrize("isolate", [0, 1])
def test_cases_share_a_program_unless_isolated(daemon: Daemon, isolate: int) -> None:
    program = "n = 0\ndef f():\n  global n\n  n += 1\n  return n"
    reply = daemon.call(program, "", "", "", ISOLATE=isolate)
    values = [result["value"] for result in reply["results"]]
    assert values == (["1", "1", "1"] if isolate else ["1", "2", "3"])


def test_a_crash_spares_the_other_isolated_cases(daemon: Daemon) -> None:
    program = "import os\ndef f(x):\n  if x == 2: os.abort()\n  return x"
    isolated = daemon.call(program, "1", "2", "3", ISOLATE=1)
    assert [r["verdict"] for r in isolated["results"]] == ["ok", "crash", "ok"]
    assert isolated["verdict"] == "ok"
    together = daemon.call(program, "1", "2", "3")
    assert [r["verdict"] for r in together["results"]] == ["ok", "crash", "crash"]
    assert together["verdict"] == "crash"
    assert together["signal"] == 6


@pytest.mark.parametrize(
    "program",
    [
        "def f(): return list({'a' + c for c in 'abcdefghijkl'})",
        "def f(): return id(object())",
        "import random\ndef f(): return random.random()",
        "def f(): return hash('a')",
        "import time\ndef f(): return time.time_ns()",
    ],
)
def test_replicas_catch_nondeterminism(daemon: Daemon, program: str) -> None:
    reply = daemon.call(program, "", REPLICAS=2)
    assert reply["verdict"] == reply["results"][0]["verdict"] == "nondeterministic"
    assert reply["results"][0]["value"] is None
    (first,), (second,) = reply["replicas"]
    assert first != second


def test_replicas_agree_on_the_deterministic(daemon: Daemon) -> None:
    program = "import random\ndef f(x): return {str(i) for i in x}, random.random()"
    reply = daemon.call(program, "range_", "[1, 2]", REPLICAS=2, SEED=7)
    assert reply["results"][0]["type"] == "BadArgument"
    assert reply["results"][1]["value"].startswith("({'1', '2'}, ")
    assert reply["verdict"] == "ok"
