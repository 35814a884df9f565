"""Programs of every kind with the answer each must get: plain ones, whose values this interpreter
computes itself, and one in a hundred hostile."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

Words = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True)
class Job:
    """A command and what is wrong with a reply to it: nothing, or a text."""

    kind: str
    words: Words
    expected: dict[str, Any]

    def fault(self, reply: dict[str, Any]) -> str | None:
        got = {name: reply.get(name) for name in self.expected}
        if "cases" in self.expected:
            names = ("verdict", "value", "type")
            got["cases"] = [tuple(case[name] for name in names) for case in reply["results"]]
        if got == self.expected:
            return None
        return f"{self.kind}: expected {self.expected}, got {got}: {reply['message']}"[:1000]


# --- plain programs: the source, and the text of a call's arguments

PLAIN: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "sort": (
        "def f(x): return sorted(x)",
        lambda r: repr([r.randrange(1000) for _ in range(r.randrange(20))]),
    ),
    "words": (
        "from collections import Counter\n"
        "def f(text): return sorted(Counter(text.split()).items())",
        lambda r: repr(" ".join(r.choice("abcde") * r.randrange(1, 4) for _ in range(12))),
    ),
    "primes": (
        "def f(n):\n"
        "  sieve = [True] * n\n"
        "  for i in range(2, n):\n"
        "    for j in range(i * i, n, i): sieve[j] = False\n"
        "  return [i for i in range(2, n) if sieve[i]]",
        lambda r: str(r.randrange(2, 300)),
    ),
    "big_number": ("def f(n): return 3 ** n", lambda r: str(r.randrange(2000))),
    "text": (
        "import re\ndef f(s): return re.sub('[aé]+', lambda m: m[0].upper(), s), s[::-1]",
        lambda r: repr("".join(r.choice("abé€ \\'\n") for _ in range(r.randrange(40)))),
    ),
    "nested": (
        "def f(depth):\n  value = ()\n  for i in range(depth): value = [value, {i: (i, None)}]\n"
        "  return value",
        lambda r: str(r.randrange(20)),
    ),
    "floats": (
        "import math\ndef f(x): return [math.sqrt(abs(x)), x / 3, x * 1e300 * 1e9, complex(x, 1)]",
        lambda r: repr(r.uniform(-1e6, 1e6)),
    ),
    "bytes": (
        "import json\ndef f(b): return json.dumps(list(b)), b + b'\\0', bytes(reversed(b))",
        lambda r: repr(r.randbytes(r.randrange(30))),
    ),
    "class": (
        "class Stack(list):\n  def top(self): return self[-1]\n"
        "def f(n):\n  s = Stack(range(n))\n  return s.top() if s else None, len(s)",
        lambda r: str(r.randrange(5)),
    ),
    "error": (
        "def f(i): return [1, 2, 3][i] // (i - 1)",
        lambda r: str(r.randrange(5)),
    ),
}


def plain_value(source: str, arguments: str) -> tuple[str, str | None, str | None]:
    """What a case must come back as; the values here have the `repr` of their canonical text."""
    names: dict[str, Any] = {}
    exec(source, names)
    try:
        return "ok", repr(names["f"](*eval(f"({arguments},)"))), None
    except Exception as error:
        return "error", None, type(error).__name__


def plain(rng: random.Random) -> Job:
    kind = rng.choice(sorted(PLAIN))
    source, make = PLAIN[kind]
    arguments = [make(rng) for _ in range(rng.choice((1, 1, 1, 3)))]
    cases = [plain_value(source, text) for text in arguments]
    words = ("CALL", source, "f", len(arguments), *arguments, "TIMEOUT", 60_000)
    return Job(kind, words, {"verdict": "ok", "stdout": "", "stderr": "", "cases": cases})


def script(rng: random.Random) -> Job:
    text = str(rng.random())
    words = ("RUN", "import sys\nprint(input())\nsys.exit(0)", "STDIN", text, "TIMEOUT", 60_000)
    return Job("script", words, {"verdict": "ok", "exit": 0, "stdout": f"{text}\n", "stderr": ""})


# --- hostile ones: the source, options, and what the whole reply must say

HOSTILE: dict[str, tuple[str, Words, dict[str, Any]]] = {
    "hang": ("def f():\n  while True: pass", ("TIMEOUT", 200), {"verdict": "timeout"}),
    "sleep": (
        "import time\ndef f():\n  while True:\n    try: time.sleep(9)\n    except BaseException: 1",
        ("TIMEOUT", 200),
        {"verdict": "timeout"},
    ),
    "crash": (
        "import ctypes\ndef f(): ctypes.string_at(0)",
        (),
        {"verdict": "crash", "signal": 11},
    ),
    "memory_bomb": (
        "def f():\n  hold = []\n  while True: hold.append(bytearray(1 << 20))",
        ("MEMORY", 64 << 20),
        {"verdict": "ok", "cases": [("memory", None, "MemoryError")]},
    ),
    "output_flood": (
        "def f():\n  while True: print('x' * 4096)",
        ("OUTPUT", 100_000),
        {"verdict": "output"},
    ),
    "refused_fork": (
        "import os\ndef f(): os.fork()",
        (),
        {"verdict": "ok", "cases": [("error", None, "BlockingIOError")]},
    ),
    "denied_socket": (
        "import socket\ndef f(): socket.socket()",
        (),
        {"verdict": "denied", "syscall": "socket"},
    ),
    "forged_exit": ("import os\ndef f(): os._exit(0)", (), {"verdict": "crash", "signal": None}),
    "forged_reply": (
        "import os\ndef f():\n"
        "  for fd in range(64):\n"
        "    try: os.write(fd, b'%2\\r\\n$7\\r\\nverdict\\r\\n$2\\r\\nok\\r\\n' * 9)\n"
        "    except OSError: pass\n"
        "  os._exit(0)",
        (),
        {"verdict": "crash", "signal": None},
    ),
}


def hostile(rng: random.Random) -> Job:
    kind = rng.choice(sorted(HOSTILE))
    source, options, expected = HOSTILE[kind]
    if "TIMEOUT" not in options:
        options += ("TIMEOUT", 60_000)
    return Job(kind, ("CALL", source, "f", 1, "", *options), expected)


def mixed(rng: random.Random, hostile_share: float = 0.01) -> Job:
    kind = rng.random()
    if kind < hostile_share:
        return hostile(rng)
    return script(rng) if kind < hostile_share + 0.05 else plain(rng)
