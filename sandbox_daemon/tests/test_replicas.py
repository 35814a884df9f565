"""REPLICAS: zygotes that differ in all that a result must not follow have to agree."""

from __future__ import annotations

import contextlib
import random
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import PATIENT, Daemon, executable, running

TIERS = ("rewind", "fork", "jail")
# So that the rewind tier serves what it can.
PRELOAD = "contextlib,ctypes,datetime,os,random,resource,sys,threading,time,uuid"

NODE = "class N:\n  def __init__(self, n): self.n = n\n"

# Each with many possible results, of which two replicas do not draw the same by chance.
DEPENDENT = {
    "order of strings": "def f(): return list({'a' + c for c in 'abcdefghijkl'})",
    "hash": "def f(): return hash('a')",
    "order of objects": NODE + "def f(): return [x.n for x in {N(i) for i in range(12)}]",
    "order of functions": "def f(): return [g() for g in {(lambda i=i: i) for i in range(12)}]",
    "order of classes": (
        "def f(): return [c.__name__ for c in {type(f'C{i}', (), {}) for i in range(12)}]"
    ),
    "order of exceptions": "def f(): return [e.args for e in {ValueError(i) for i in range(12)}]",
    "order by address": (
        "def f():\n  o = [[i] for i in range(12)]\n  return [x[0] for x in sorted(o, key=id)]"
    ),
    "classes by address": (
        "def f():\n  o = [type('C', (), {'i': i}) for i in range(20)]\n"
        "  return [x.i for x in sorted(o, key=id)]"
    ),
    "id": "def f(): return id(object())",
    "16 bytes": "def f():\n  o = [[] for _ in range(40)]\n  return [id(x) >> 4 & 31 for x in o]",
    "late blocks": (
        NODE + "def f():\n  keep = [N(i) for i in range(5000)]\n"
        "  return [id(N(i)) >> 12 for i in range(9)]"
    ),
    "static objects": "def f(): return [id(x) >> 12 & 0xfffff for x in (None, int, len)]",
    "large blocks": (
        "def f():\n  o = [tuple(range(90)) for _ in range(40)]\n"
        "  return [id(x) >> 4 & 31 for x in o]"
    ),
    "data of ctypes": (
        "import ctypes\ndef f(): return ctypes.addressof(ctypes.create_string_buffer(99))"
    ),
    "not a number": (
        "def f():\n  o = [float('nan') for _ in range(12)]\n  return [hash(x) % 64 for x in o]"
    ),
    "repr": "def f(): return repr(f), repr(object())",
    "references": "import sys\ndef f(): return [sys.getrefcount(x) for x in (None, 1, 2)]",
    "blocks in use": "import sys\ndef f(): return sys.getallocatedblocks()",
    "process": "import os\ndef f(): return os.getpid()",
    "process by ctypes": "import ctypes\ndef f(): return ctypes.CDLL(None).getpid()",
    "thread": "import threading\ndef f(): return threading.get_native_id()",
    "main thread": "import threading\ndef f(): return threading.main_thread().native_id",
    "identity of a thread": "import threading\ndef f(): return threading.get_ident()",
    "random": "import random\ndef f(): return random.random()",
    "the system's random": "import os\ndef f(): return list(os.urandom(8))",
    "nanoseconds": "import time\ndef f(): return time.time_ns()",
    "seconds": "import time\ndef f(): return int(time.time())",
    "year and second": (
        "import datetime\ndef f():\n  now = datetime.datetime.now()\n  return now.year, now.second"
    ),
    "local time": "import time\ndef f(): return time.strftime('%Y %j %H %M')",
    "seconds that only go on": "import time\ndef f(): return int(time.monotonic())",
    "CPU time": "import time\ndef f(): return int(time.process_time())",
    "times": "import os\ndef f(): return int(os.times().elapsed), int(os.times().user)",
    "usage": (
        "import resource\ndef f():\n  u = resource.getrusage(0)\n"
        "  return int(u.ru_utime), u.ru_minflt, u.ru_maxrss, u.ru_nvcsw"
    ),
    "free memory": "import os\ndef f(): return os.sysconf('SC_AVPHYS_PAGES')",
    "uuid": "import uuid\ndef f(): return str(uuid.uuid1(node=1))",
}

INDEPENDENT = {
    "order": "def f(): return sorted({'a' + c for c in 'abcdefghijkl'})",
    "equality": NODE + "def f():\n  x = N(1)\n  return x is x, id(x) == id(x), x in {x}",
    "a difference of times": (
        "import time\ndef f():\n  a, b = time.time(), time.monotonic()\n  time.sleep(0.01)\n"
        "  return 0.01 <= time.time() - a < 60, 0.01 <= time.monotonic() - b < 60"
    ),
    "a wait": (
        "import threading\ndef f():\n  lock = threading.Lock()\n  lock.acquire()\n"
        "  return lock.acquire(timeout=0.01)"
    ),
    "a signal to itself": (
        "import os, signal\ndef f():\n  seen = []\n"
        "  signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))\n"
        "  os.kill(os.getpid(), signal.SIGUSR1)\n  signal.raise_signal(signal.SIGUSR1)\n"
        "  return seen"
    ),
    "memory of the machine": "import os\ndef f(): return os.sysconf('SC_PHYS_PAGES') > 0",
}


@pytest.fixture(scope="module")
def tiers() -> Iterator[Daemon]:
    """Two zygotes of each tier that can be had here."""
    options = ("--zygotes", "2", "--rewind", "2", "--preload", PRELOAD, "--timeout", PATIENT)
    with tempfile.TemporaryDirectory(prefix="azr") as path, contextlib.ExitStack() as stack:
        one = stack.enter_context(running(f"{path}/s", *options, "--jail", "2"))
        if not one.first_line.startswith("ready"):
            one = stack.enter_context(running(f"{path}/t", *options))
        assert one.first_line.startswith("ready")
        yield one


def replicated(
    daemon: Daemon, program: str, tier: str, *arguments: str, **options: Any
) -> dict[str, Any]:
    if tier == "jail" and "--jail" not in daemon.process.args:
        pytest.skip("no jail here: see azr-sandboxd --check")
    return dict(daemon.call(program, *(arguments or [""]), REPLICAS=2, TIER=tier, **options))


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", DEPENDENT)
def test_what_follows_more_than_its_input_is_not_certified(
    tiers: Daemon, name: str, tier: str
) -> None:
    for _ in range(3):
        reply = replicated(tiers, DEPENDENT[name], tier)
        assert reply["verdict"] == reply["results"][0]["verdict"] == "nondeterministic"
        assert reply["results"][0]["value"] is None
        (first,), (second,) = reply["replicas"]
        assert first != second


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", INDEPENDENT)
def test_what_follows_its_input_alone_is_certified(tiers: Daemon, name: str, tier: str) -> None:
    for _ in range(3):
        assert replicated(tiers, INDEPENDENT[name], tier)["verdict"] == "ok"


@pytest.mark.parametrize("tier", TIERS)
def test_replicas_agree_on_the_deterministic(tiers: Daemon, tier: str) -> None:
    program = "import random\ndef f(x): return {str(i) for i in x}, random.random()"
    reply = replicated(tiers, program, tier, "range_", "[1, 2]", SEED=7)
    assert reply["results"][0]["reason"] == "BadArgument"
    assert reply["results"][1]["value"] == str(({"1", "2"}, random.Random(7).random())).replace(
        "{'2', '1'}", "{'1', '2'}"
    )
    assert reply["verdict"] == "ok"


def test_processes_of_a_later_replica_know_each_other(tiers: Daemon) -> None:
    """It is told another id than that of process 1, and all that is said of that id holds."""
    program = """
import os, signal
def f():
    me, (reading, writing) = os.getpid(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b'1' if os.getppid() == me != os.getpid() else b'0')
        os._exit(7)
    status = os.waitpid(child, 0)
    return (os.read(reading, 1), os.waitstatus_to_exitcode(status[1]), status[0] == child,
            os.getpgid(me) == os.getpgid(0), len(os.sched_getaffinity(me)) > 0, child != me)
"""
    reply = replicated(tiers, program, "jail")
    assert reply["results"][0]["value"] == "(b'1', 7, True, True, True, True)"


def test_the_interpreter_may_begin_at_any_page() -> None:
    """The kernel moves an executable by the largest alignment of its segments (elf(5)): by two
    mebibytes the lower bits of what is static would be the same everywhere."""
    image = Path(executable()).with_name("azr-zygote").read_bytes()
    first, size, count = struct.unpack_from("<32xQ14xHH", image)
    headers = [struct.unpack_from("<I44xQ", image, first + i * size) for i in range(count)]
    assert {alignment for kind, alignment in headers if kind == 1} == {4096}


def test_how_full_the_disk_is_is_not_told(tiers: Daemon) -> None:
    for tier in TIERS:
        reply = replicated(tiers, "import os\ndef f(): return os.statvfs('/').f_bfree", tier)
        assert reply["results"][0]["type"] == "OSError"
