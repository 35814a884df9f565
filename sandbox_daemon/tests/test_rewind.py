"""The rewind tier answers as the fork tier does, and nothing of a program is left for the next: a
checker compares every byte, register and trace in the kernel after each one."""

from __future__ import annotations

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
from .leavings import EXCEPTIONS, LEAVINGS
from .test_attacks import assert_end, attempt

# What differs from run to run, or says which tier it was.
NOT_COMPARED = {"tier", "cpu_us", "wall_us", "max_rss_kib", "faults"}

# With what reaches into the interpreter imported, so that nobody falls back for importing it.
PRELOAD = (
    "math,itertools,collections,functools,re,string,heapq,json,random,copy,operator,typing,"
    "dataclasses,decimal,enum,contextlib,datetime,ctypes,gc,inspect,signal,struct,sys,threading,"
    "types,weakref"
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
