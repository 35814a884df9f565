"""Programs whose result follows an order, an address, an id, the time or the machine.

Each family is a list of templates, each with a way to fill it in; `programs(count, seed)` gives all
of them their turn. A result has many possible values, so that two runs that agree did not agree by
chance.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from string import Template, ascii_lowercase

Fill = Callable[[random.Random], dict[str, object]]
Family = list[tuple[str, Fill]]


def words(pick: random.Random) -> dict[str, object]:
    lengths = (pick.randint(2, 9) for _ in range(pick.randint(8, 40)))
    made = {"".join(pick.choices(ascii_lowercase, k=length)) for length in lengths}
    return {"words": sorted(made), "k": pick.randint(2, 5)}


def sizes(pick: random.Random) -> dict[str, object]:
    return {"n": pick.randint(7, 60), "pad": pick.randint(0, 200), "k": pick.randint(3, 97)}


def masks(pick: random.Random) -> dict[str, object]:
    low = pick.choice([4, 5, 6, 12, 14, 16])
    return sizes(pick) | {"low": low, "mask": (1 << pick.randint(8, 24)) - 1}


def resolutions(pick: random.Random) -> dict[str, object]:
    return {"per_second": pick.choice([100, 1000, 10_000, 1_000_000]), "n": pick.randint(1, 9)}


def value(expression: str, modules: str = "sys", before: str = "") -> str:
    """A program whose `f` does what comes before and returns the expression."""
    lines = [f"import {modules}", "def f():", *before.splitlines(), f"return {expression}"]
    return "\n".join(lines[:2] + [f"    {line}" for line in lines[2:]])


def objects(expression: str, made: str) -> str:
    """The same with `N`, whose instances hash by address, and `o`, a list of `$n` that are made."""
    before = f"class N:\n    def __init__(s, i): s.i = i\no = [{made} for i in range($n)]"
    return value(expression, before=before)


STRINGS: Family = [
    (value("list(set($words))"), words),
    (value("[w[:$k] for w in frozenset($words)]"), words),
    (value("''.join(x + y for x, y in {(w, w[::-1]) for w in $words})"), words),
    (value("list({w.encode() for w in $words})"), words),
    (value("[s.pop() for _ in range($k + 3)]", before="s = set($words)"), words),
    (value("[hash(w) % 1009 for w in $words]"), words),
]
OBJECTS: Family = [
    (objects("[x.i for x in set(o)]", "N(i)"), sizes),
    (objects("[x.i for x in set(o[$pad % 5 :])]", "N(i)"), sizes),
    (objects("[g() for g in set(o)]", "(lambda i=i: i)"), sizes),
    (objects("[c.__name__ for c in set(o)]", "type(f'C{i}', (), {})"), sizes),
    (objects("[e.args[0] for e in set(o)]", "ValueError(i)"), sizes),
    (objects("[o.index(x) for x in set(o)]", "object()"), sizes),
    (objects("[[y is x for y in o].index(True) for x in set(o)]", "float('nan')"), sizes),
    (objects("[x.i for x in __import__('weakref').WeakSet(o)]", "N(i)"), sizes),
    (value("[str(x) for x in {None, ..., NotImplemented, int, len, str, True}]"), sizes),
]
BY_ADDRESS: Family = [
    (objects("[x[0] for x in sorted(o, key=id)]", "[i]"), sizes),
    (objects("[x.i for x in sorted(o, key=id)]", "type('C', (), {'i': i})"), sizes),
    (objects("max(o, key=lambda x: id(x) % 1009).i, [id(x) % $k for x in o]", "N(i)"), sizes),
]
ADDRESSES: Family = [
    (value("id(object())"), sizes),
    (objects("[id(x) >> $low & $mask for x in o]", "object()"), masks),
    (objects("hash(o[0])", "N(i)"), sizes),
    (objects("[hash(x) % $k for x in o]", "N(i)"), sizes),
    (objects("repr(o[-1])", "N(i)"), sizes),
    (value("str(f), repr(lambda: $n)"), sizes),
    (value("[hash(float('nan')) for _ in range($n)]"), sizes),
    (value("hash(None), hash(len) % 100003"), sizes),
    (objects("id(o[0]) % $mask, hash(o[0])", "type('C', (), {})"), masks),
    (value("ctypes.addressof(ctypes.c_int($n))", "ctypes"), sizes),
    (value("array.array('q', range($n * 100)).buffer_info()[0]", "array"), sizes),
    (value("next(g), str(g.gi_frame), str(g)", before="g = (i for i in range($n))"), sizes),
    (value("sys.getrefcount(None)"), sizes),
    (value("sys.getallocatedblocks()"), sizes),
]
IDS: Family = [
    (value("os.getpid()", "os"), sizes),
    (value("os.getpid() % 1009 + $n", "os"), sizes),
    (value("threading.get_native_id()", "threading"), sizes),
    (value("threading.main_thread().native_id", "threading"), sizes),
    (value("threading.get_ident()", "threading"), sizes),
    (value("os.fstat(1).st_ino", "os"), sizes),
]
NOW = "datetime.datetime.now()"
USAGE = "resource.getrusage(resource.RUSAGE_SELF)"
COUNTING = "end, n = time.perf_counter() + 0.002, 0\nwhile time.perf_counter() < end: n += 1"
TIMES: Family = [
    (value("int(time.time() * $per_second)", "time"), resolutions),
    (value("time.time_ns() // $n", "time"), resolutions),
    (value("int(time.monotonic() * $per_second)", "time"), resolutions),
    (value("int(time.perf_counter() * $per_second)", "time"), resolutions),
    (value("time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 10**6", "time"), resolutions),
    (value(f"{NOW}.isoformat(timespec='milliseconds')", "datetime"), resolutions),
    (value(f"{NOW}.microsecond // $n", "datetime"), resolutions),
    (value(f"{NOW}.strftime('%S.%f')[:6]", "datetime"), resolutions),
    (value("n", "time", COUNTING), resolutions),
    (value("time.perf_counter_ns() - a", "time", "a = time.perf_counter_ns()"), resolutions),
    (value("time.process_time_ns() // $n", "time"), resolutions),
    (value("tuple(os.times())", "os"), resolutions),
    (value(f"{USAGE}.ru_utime", "resource"), resolutions),
    (value(f"{USAGE}.ru_minflt", "resource"), resolutions),
    (value("str(uuid.uuid1(node=1, clock_seq=$n))", "uuid"), resolutions),
]
CHANCES: Family = [
    (value("random.random()", "random"), sizes),
    (value("x", "random", "x = list(range($n))\nrandom.shuffle(x)"), sizes),
    (value("random.sample(range(10**6), $n)", "random"), sizes),
    (value("random.Random().getrandbits(64)", "random"), sizes),
    (value("list(os.urandom($n))", "os"), sizes),
    (value("secrets.token_hex($n)", "secrets"), sizes),
    (value("str(uuid.uuid4())", "uuid"), sizes),
    (value("next(tempfile._get_candidate_names())", "tempfile"), sizes),
]
MACHINE: Family = [
    (value("os.sysconf('SC_AVPHYS_PAGES')", "os"), sizes),
    (value("os.statvfs('/usr/lib').f_bfree", "os"), sizes),
    (value("os.getloadavg()", "os"), sizes),
]
FAMILIES = {
    "order of strings": STRINGS,
    "order of objects": OBJECTS,
    "order by address": BY_ADDRESS,
    "address": ADDRESSES,
    "ids": IDS,
    "time": TIMES,
    "chance": CHANCES,
    "machine": MACHINE,
}


def programs(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Family and text of `count` programs that define `f`; all templates in turn."""
    pick = random.Random(seed)
    templates = [(name, *one) for name, family in FAMILIES.items() for one in family]
    for number in range(count):
        name, text, fill = templates[number % len(templates)]
        yield name, Template(text).substitute(fill(pick))
