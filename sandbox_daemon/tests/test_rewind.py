"""The rewind tier answers as the fork tier does, and nothing of a program is left for the next: a
checker compares every byte, register and trace in the kernel after each one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .attacks import ATTACKS
from .attacks.host import Host, standing_host
from .confined import launcher
from .conftest import (
    PATIENT,
    Daemon,
    children_of,
    eventually,
    executable,
    next_program_is_fine,
    running,
)
from .equality import CASES, Case
from .equality.generated import generated_cases
from .leavings import EXCEPTIONS, LEAVINGS
from .test_attacks import assert_end, attempt

# What differs from run to run, or says which tier it was.
NOT_COMPARED = {"tier", "lost_us", "cpu_us", "wall_us", "max_rss_kib", "faults"}

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
    count = int(os.environ.get("AZR_PROGRAMS", "500"))
    assert_same_as_forks(paranoid, list(generated_cases(count, seed)))
    assert restarts(paranoid) == 0


def test_same_answers_whatever_is_left_behind(paranoid: Daemon) -> None:
    raising = [(f"def f(): raise {name}", "") for name in EXCEPTIONS]
    cases = [(program, "") for program in LEAVINGS.values()] + raising
    rewound, forked = replies(paranoid, cases), replies(paranoid, cases, "TIER", "fork")
    pairs = zip(cases, map(compared, rewound), map(compared, forked), strict=True)
    assert [pair for pair in pairs if pair[1] != pair[2]] == []
    assert sum(reply["tier"] == "rewind" for reply in rewound) > len(EXCEPTIONS) + 15
    assert restarts(paranoid) == 0


def test_where_it_cannot_be_had_forks_serve(folder: Path) -> None:
    confinement = launcher("no-userfaultfd")
    command = [*confinement, executable(), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "rewind        off  rewind: the kernel does not track writes for it" in done.stdout
    with running(f"{folder}/s", "--rewind", "2", launcher=confinement) as one:
        assert one.first_line.startswith("ready")
        next_program_is_fine(one)
        assert one.call("def f(): return 1", "")["tier"] == "fork"
        assert one.stop() == 0
        assert one.process.stderr is not None
        assert "programs are run in forks" in one.process.stderr.read()


def test_a_runner_that_is_killed_is_replaced(paranoid: Daemon) -> None:
    endless = "def f():\n  while True: pass"
    for _ in range(4):
        reply = paranoid.call(endless, "", TIMEOUT=200)
        assert (reply["verdict"], reply["tier"]) == ("timeout", "rewind")
        reply = paranoid.call(endless, "", CPU=100)
        assert (reply["verdict"], reply["message"]) == ("timeout", "CPU limit of 100 ms")
        assert paranoid.call("def f(): return 1", "")["tier"] == "rewind"
    assert_both_rewind(paranoid)  # one killed while it is made would end its zygote
    for pid in runners(paranoid):
        os.kill(pid, signal.SIGKILL)  # between programs, as a late kill does
    assert_both_rewind(paranoid)


def assert_both_rewind(daemon: Daemon) -> None:
    """Runners that were killed are replaced when their zygotes get a program; then all is well."""

    def one_each() -> bool:
        reply = daemon.call("def f(): return 1", "", REPLICAS=2)
        assert reply["verdict"] == "ok"
        return bool(reply["tier"] == "rewind")

    assert eventually(one_each)
    assert restarts(daemon) == 0


def runners(daemon: Daemon) -> list[int]:
    return [child for zygote in rewind_zygotes(daemon) for child in children_of(zygote["pid"])]


def test_a_program_whose_runner_dies_for_others_is_run_again(paranoid: Daemon) -> None:
    with paranoid.connect() as client:
        connection = client.connection_pool.get_connection()
        connection.send_command("CALL", "import time\ndef f(): time.sleep(2)", "f", 1, "")
        assert eventually(lambda: any(z["state"] == "busy" for z in rewind_zygotes(paranoid)))
        time.sleep(0.5)  # it sleeps in its runner
        for pid in runners(paranoid):
            os.kill(pid, signal.SIGKILL)  # as the kernel does that is out of memory
        reply = connection.read_response()
    assert (reply["verdict"], reply["tier"]) == ("ok", "fork")
    assert_both_rewind(paranoid)


# Calls an address whose two bytes drop its return address and jump on, with a processor in 32-bit
# mode, to address 0.
INTO_32_BITS = """
import ctypes, re
def f():
    start = ctypes.cast(ctypes.pythonapi.Py_BytesMain, ctypes.c_void_p).value
    code = ctypes.string_at(start, 1 << 20)
    at = start + re.search(rb'[\\x58\\x5a\\x5b\\x5e\\x5f]\\xcb', code).start()
    ctypes.CFUNCTYPE(None, *[ctypes.c_ulong] * 7)(at)(0, 0, 0, 0, 0, 0, 0x23 << 32)
"""


def test_a_runner_that_cannot_be_put_back_ends_alone(paranoid: Daemon) -> None:
    pids = [zygote["pid"] for zygote in rewind_zygotes(paranoid)]
    for _ in range(4):
        reply = paranoid.call(INTO_32_BITS, "")
        assert (reply["verdict"], reply["tier"]) == ("crash", "fork")
        assert paranoid.call("def f(): return 1", "")["tier"] == "rewind"
    assert [zygote["pid"] for zygote in rewind_zygotes(paranoid)] == pids
    assert restarts(paranoid) == 0


def test_ids_are_not_told_where_they_count_killed_programs(paranoid: Daemon) -> None:
    for what in ("os.getpid()", "os.getppid()", "threading.get_native_id()"):
        reply = paranoid.call(f"import os, threading\ndef f(): return {what}", "")
        assert (reply["verdict"], reply["tier"]) == ("ok", "fork")


def test_a_wait_of_the_program_before_is_not_gone_on_with(paranoid: Daemon) -> None:
    restart = "import ctypes\ndef f(): return ctypes.CDLL(None).syscall(219)"
    reply = paranoid.call(restart, "")
    assert (reply["results"][0]["value"], reply["tier"]) == ("-1", "fork")


def test_output_of_a_program_that_falls_back_is_there_once(paranoid: Daemon) -> None:
    reply = paranoid.run("import os\nprint('once', flush=True)\nprint(os.getcwd())")
    assert (reply["stdout"], reply["tier"]) == ("once\n/\n", "fork")


def test_what_fell_back_is_counted_by_what_it_asked_for(paranoid: Daemon) -> None:
    def counters() -> dict[str, int]:
        with paranoid.connect() as client:
            return dict(client.info("rewind"))

    before = counters()
    paranoid.call("import os\ndef f(): os.getcwd()", "")
    paranoid.call("def f(): return len(bytearray(100 << 20))", "")
    paranoid.call("import ctypes\ndef f(): ctypes.string_at(0)", "")
    paranoid.run("print(input())", STDIN="x")
    paranoid.call("def f(): return 1", "", MEMORY=100 << 20)
    grown = {k: v - before.get(k, 0) for k, v in counters().items() if v != before.get(k, 0)}
    asked = {"getcwd", "brk", "signal", "stdin", "memory_limit"}
    assert grown == {f"fell_back_{what}": 1 for what in asked} | {"fell_back": 5}


def test_page_faults_of_a_rewound_program_are_counted(folder: Path) -> None:
    """Not those of the program before, and where all pages are hot there are none."""
    few, many = "def f(): return 1", "def f(): return len(bytearray(8 << 20))"
    with running(str(folder / "s"), "--zygotes", "1", "--rewind", "1", "--paranoid") as daemon:
        replies = [daemon.call(program, "") for program in [few] * 100 + [many, few]]
    if replies[0]["tier"] != "rewind":
        pytest.skip("this kernel cannot rewind: see azr-sandboxd --check")
    *before, of_many, after = (reply["faults"] for reply in replies)
    assert min(before) == 0
    assert max(*before[8:], after) < 100
    assert of_many > 2000


def test_replicas_run_in_runners_of_different_seeds(paranoid: Daemon) -> None:
    program = "def f(): return hash('a')"
    reply = paranoid.call(program, "", REPLICAS=2)
    assert (reply["verdict"], reply["tier"]) == ("nondeterministic", "rewind")
    same = [paranoid.call("def f(): return sorted({'a', 'b'})", "", REPLICAS=2) for _ in range(3)]
    assert {(reply["verdict"], reply["tier"]) for reply in same} == {("ok", "rewind")}


def test_isolated_cases_see_nothing_of_each_other(paranoid: Daemon) -> None:
    program = "x = []\ndef f(i):\n  x.append(i)\n  return x"
    reply = paranoid.call(program, "1", "2", "3", ISOLATE=1)
    assert [result["value"] for result in reply["results"]] == ["[1]", "[2]", "[3]"]
    assert reply["tier"] == "rewind"


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
