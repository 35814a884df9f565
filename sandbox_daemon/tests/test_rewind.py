"""The rewind tier answers as the fork tier does, and nothing of a program is left for the next: a
checker compares every byte, register and trace in the kernel after each one."""

from __future__ import annotations

import builtins
import random
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from .attacks import ATTACKS
from .attacks.host import Host, standing_host
from .conftest import PATIENT, Daemon, eventually, running
from .equality import CASES, Case
from .equality.generated import generated_cases
from .test_attacks import assert_end, attempt

# What differs from run to run, or says which tier it was.
NOT_COMPARED = {"tier", "cpu_us", "wall_us", "max_rss_kib", "faults"}

# With what reaches into the interpreter imported, so that nobody falls back for importing it.
PRELOAD = (
    "math,itertools,collections,functools,re,string,heapq,json,random,copy,operator,typing,"
    "dataclasses,decimal,enum,contextlib,datetime,ctypes,gc,inspect,signal,struct,sys,threading,"
    "types,weakref"
)

POKE = "import ctypes, sys\ndef poke(x, at, byte=66): ctypes.memset(id(x) + at, byte, 1)\n"
# Programs that leave something behind on purpose; a fork runs each of them to the same end.
LEAVINGS = {
    "interned string": POKE + "def f():\n  poke(sys.intern('sorted'), 49)\n  return 'sorted'",
    "small int": POKE + "def f():\n  poke(7, 24, 9)\n  return 7 + 0",
    "empty tuple": POKE + "def f():\n  poke((), 16, 0)\n  return len(())",
    "type cache": "import abc\ndef f():\n  abc.ABC.x = 1\n  return [abc.ABC.x, int.__mro__ != 1]",
    "method": POKE + "def f():\n  ctypes.pythonapi.PyType_Modified(ctypes.py_object(int))",
    "reference counts": POKE + "def f():\n  for i in range(8): poke(None, i, 255)",
    "open generator": "g = (i for i in range(9))\ndef f():\n  globals()['h'] = g\n  return next(g)",
    "coroutine": "async def c(): pass\nx = c()\ndef f(): return type(x).__name__",
    "cycle": "import gc\ndef f():\n  x = []\n  x.append(x)\n  gc.disable()\n  return gc.isenabled()",
    "finalizer": "class A:\n  def __del__(self): print('end')\na = A()\ndef f(): return 1",
    "weak reference": "import weakref\nclass A: pass\na = A()\nw = weakref.ref(a)\ndef f(): return w() is a",
    "recursion limit": "import sys\ndef f():\n  sys.setrecursionlimit(50)\n  return g(0)\ndef g(n): return g(n + 1)",
    "deep recursion": "def f(n=0): return f(n + 1)",
    "deep values": "def f():\n  x = []\n  for _ in range(60): x = [x]\n  return x",
    "much output": "def f():\n  print('x' * 300_000)\n  return 1",
    "much memory": "x = [bytearray(1 << 20) for _ in range(40)]\ndef f(): return len(x)",
    "all memory of its room": "x = []\ndef f():\n  for i in range(3_000_000): x.append([i])\n  return len(x)",
    "many objects": "x = {i: str(i) for i in range(200_000)}\ndef f(): return len(x)",
    "trace function": "import sys\ndef f():\n  sys.settrace(lambda *a: None)\n  return 1",
    "modules": "import sys\nsys.modules.clear()\ndef f(): return len(sys.modules)",
    "builtins": "import builtins\nbuiltins.__dict__.clear()\ndef f(): return 1",
    "unhandled": "def f():\n  try: raise KeyError('a')\n  finally: raise ValueError('b')",
    "lock": "import threading\nlock = threading.Lock()\nlock.acquire()\ndef f(): return lock.locked()",
    "thread": "import threading\ndef f(): threading.Thread(target=print).start()",
    "signal": "import signal\ndef f(): return signal.signal(10, signal.SIG_IGN) == signal.SIG_DFL",
    "context": "import decimal\ndef f():\n  decimal.getcontext().prec = 3\n  return str(decimal.Decimal(1) / 3)",
    "bad pointer": "import ctypes\ndef f(): ctypes.string_at(8)",
    "stack": "import ctypes\ndef f(): ctypes.memset(ctypes.addressof(ctypes.c_int()) - 64, 0, 32)",
    "machine state": "import ctypes\ndef f():\n  libm = ctypes.CDLL(None)\n  libm.fesetround(0x800)\n  return 0.1 + 0.2",
    "exit": "import os\ndef f(): os._exit(0)",
    "abort": "import os\ndef f(): os.abort()",
}
EXCEPTIONS = sorted(
    name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
)


@pytest.fixture(scope="module")
def paranoid() -> Iterator[Daemon]:
    options = ("--zygotes", "2", "--rewind", "2", "--paranoid", "--preload", PRELOAD)
    with (
        tempfile.TemporaryDirectory(prefix="azr") as path,
        running(f"{path}/s", *options, "--timeout", PATIENT) as one,
    ):
        assert one.first_line.startswith("ready"), one.process.communicate()[1]
        if not rewinds(one):
            pytest.skip("this kernel cannot rewind: see azr-sandboxd --check")
        yield one


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with standing_host() as one:
        yield one


def rewinds(daemon: Daemon) -> bool:
    with daemon.connect() as client:
        return str(client.info("security")["rewind"]).startswith("on")


def rewind_zygotes(daemon: Daemon) -> list[dict[str, Any]]:
    with daemon.connect() as client:
        info = client.info("zygotes")
    found = [value for name, value in info.items() if name != "zygotes"]
    return [zygote for zygote in found if zygote["tier"] == "rewind"]


def restarts(daemon: Daemon) -> int:
    return sum(int(zygote["restarts"]) for zygote in rewind_zygotes(daemon))


def replies(daemon: Daemon, cases: list[Case], *options: str | int) -> list[dict[str, Any]]:
    with daemon.connect() as client:
        pipe = client.pipeline(transaction=False)
        for program, arguments in cases:
            pipe.execute_command("CALL", program, "f", 1, arguments, "SEED", 1, *options)
        return list(pipe.execute())


def compared(reply: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in reply.items() if name not in NOT_COMPARED}


def assert_same_as_forks(daemon: Daemon, cases: list[Case]) -> None:
    rewound, forked = replies(daemon, cases), replies(daemon, cases, "TIER", "fork")
    pairs = zip(cases, map(compared, rewound), map(compared, forked), strict=True)
    assert [pair for pair in pairs if pair[1] != pair[2]] == []
    served = sum(reply["tier"] == "rewind" for reply in rewound)
    assert served > 0.9 * len(cases)


def test_same_answers_as_forks(paranoid: Daemon) -> None:
    assert_same_as_forks(paranoid, CASES)
    assert restarts(paranoid) == 0


def test_same_answers_for_new_programs(paranoid: Daemon) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)
    assert_same_as_forks(paranoid, list(generated_cases(500, seed)))
    assert restarts(paranoid) == 0


def test_same_answers_whatever_is_left_behind(paranoid: Daemon) -> None:
    raising = [(f"def f(): raise {name}", "") for name in EXCEPTIONS]
    cases = [(program, "") for program in LEAVINGS.values()] + raising
    rewound, forked = replies(paranoid, cases), replies(paranoid, cases, "TIER", "fork")
    pairs = zip(cases, map(compared, rewound), map(compared, forked), strict=True)
    assert [pair for pair in pairs if pair[1] != pair[2]] == []
    assert sum(reply["tier"] == "rewind" for reply in rewound) > len(EXCEPTIONS) + 15
    assert restarts(paranoid) == 0


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(paranoid: Daemon, host: Host, name: str) -> None:
    """Its end is that in a fork, and the checker finds nothing of it."""
    attack, before, restarted = ATTACKS[name], host.state(), restarts(paranoid)
    for _ in range(attack.times):
        assert_end(attack, *attempt(paranoid, host, attack))
    assert host.state() == before
    for _ in range(2):  # both zygotes
        reply = paranoid.call("def f(x, y): return sorted(x), str(y)", "[3, 1, 2], 1.5")
        assert reply["tier"] == "rewind"
        assert reply["results"][0]["value"] == "([1, 2, 3], '1.5')"
    assert eventually(lambda: all(z["state"] == "idle" for z in rewind_zygotes(paranoid)))
    assert restarts(paranoid) == restarted
