"""A program that its tier cannot serve is run anew in the next one: with a deadline of its own,
whatever it did before, and everything that it used is told."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import PATIENT, Daemon, running
from .test_rewind import rewinds

SPENDS = "def spend(n):\n  for _ in range(n * 20_000): pass\n"  # about a millisecond for each n
NEEDS_A_FORK = "import os; os.stat('/')"
NEEDS_A_JAIL = "import threading; threading.Thread(target=print).start()"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    tiers = ("--zygotes", "2", "--rewind", "2", "--jail", "1", "--jail-optional")
    with (
        tempfile.TemporaryDirectory(prefix="azr") as path,
        running(f"{path}/s", *tiers, "--timeout", PATIENT) as one,
    ):
        if not rewinds(one):
            pytest.skip("this kernel cannot rewind: see azr-sandboxd --check")
        yield one


@pytest.fixture(scope="module")
def jailing(daemon: Daemon) -> Daemon:
    with daemon.connect() as client:
        tiers = [one["tier"] for one in client.info("zygotes").values() if isinstance(one, dict)]
        states = [one["state"] for one in client.info("zygotes").values() if isinstance(one, dict)]
    if ("jail", "idle") not in zip(tiers, states, strict=True):
        pytest.skip("no jail can be had here: see azr-sandboxd --check")
    return daemon


def cpu(reply: Any) -> int:
    return int(reply["cpu_us"])


def cpu_alone(daemon: Daemon, program: str) -> int:
    """Of one run without a fall; the neighbours of a processor can only add to it."""
    return min(cpu(daemon.call(program, "", TIER="fork")) for _ in range(3))


@pytest.mark.parametrize("before", [0, 150, 600])
def test_each_tier_has_the_whole_time_and_all_use_is_told(daemon: Daemon, before: int) -> None:
    """Wherever in its run it falls back; what it did till then, it does twice."""
    program = f"{SPENDS}def f():\n  spend({before})\n  {NEEDS_A_FORK}\n  spend(50)\n  return 7"
    alone = cpu_alone(daemon, program)
    reply = daemon.call(program, "")
    assert (reply["results"][0]["value"], reply["tier"]) == ("7", "fork")
    assert cpu(reply) > alone * (1.3 if before > 100 else 0.5)
    assert reply["wall_us"] > reply["lost_us"] > 0
    if before > 100:
        assert reply["lost_us"] > 0.4 * alone


def test_the_deadline_is_not_that_of_both(daemon: Daemon) -> None:
    """The time that it sleeps before and after is together more than its timeout."""
    program = (
        "import time\ndef f():\n  time.sleep(1.2)\n  import calendar\n  time.sleep(0.1)\n  return 1"
    )
    reply = daemon.call(program, "", TIMEOUT=2000)
    assert (reply["verdict"], reply["tier"]) == ("ok", "fork")
    assert reply["results"][0]["value"] == "1"
    assert reply["wall_us"] >= 2_500_000
    assert reply["lost_us"] >= 1_200_000
    assert reply["wall_us"] - reply["lost_us"] < 2_000_000 + 500_000


def test_while_the_body_loads(daemon: Daemon) -> None:
    program = f"{SPENDS}spend(200)\n{NEEDS_A_FORK}\ndef f(): return 1"
    reply = daemon.call(program, "")
    assert reply["results"][0]["value"] == "1"
    assert cpu(reply) > 1.4 * cpu_alone(daemon, program)


def test_after_output(daemon: Daemon) -> None:
    program = f"print('x' * 100_000, flush=True)\n{NEEDS_A_FORK}\ndef f(): return 1"
    reply = daemon.call(program, "", OUTPUT=150_000)
    assert (reply["verdict"], len(reply["stdout"])) == ("ok", 100_001)


def test_at_the_end_of_a_script(daemon: Daemon) -> None:
    script = f"{SPENDS}spend(200)\nimport atexit\natexit.register(lambda: open('/').read())"
    reply = daemon.run(script, TIER="rewind")
    assert reply["tier"] == "fork"
    assert cpu(reply) > 1.4 * min(cpu(daemon.run(script, TIER="fork")) for _ in range(3))


def test_a_deadline_that_passes_after_the_fall(daemon: Daemon) -> None:
    program = f"def f():\n  {NEEDS_A_FORK}\n  while True: pass"
    reply = daemon.call(program, "", TIMEOUT=300)
    assert (reply["verdict"], reply["tier"]) == ("timeout", "fork")
    assert reply["message"] == "deadline of 300 ms"
    assert reply["wall_us"] - reply["lost_us"] >= 300_000


def test_a_limit_of_cpu_time_is_for_each_run(daemon: Daemon) -> None:
    program = f"{SPENDS}def f():\n  spend(200)\n  {NEEDS_A_FORK}\n  return 1"
    most = cpu_alone(daemon, program) * 8 // 5000  # ms: more than one run takes, less than two
    replies = (daemon.call(program, "", CPU=most) for _ in range(8))  # a neighbour can stretch one
    assert any((reply["verdict"], reply["tier"]) == ("ok", "fork") for reply in replies)
    endless = f"{SPENDS}def f():\n  spend(20)\n  {NEEDS_A_FORK}\n  while True: pass"
    reply = daemon.call(endless, "", CPU=200)
    assert (reply["verdict"], reply["message"]) == ("timeout", "CPU limit of 200 ms")


def test_isolated_cases_fall_back_together(daemon: Daemon) -> None:
    """Not each of them finds out for itself."""
    program = f"{SPENDS}def f(x):\n  spend(100)\n  {NEEDS_A_FORK}\n  return x"
    arguments = list(map(str, range(12)))
    with daemon.connect() as client:
        before = int(client.info("rewind")["fell_back"])
        reply = daemon.call(program, *arguments, ISOLATE=1)
        fallen = int(client.info("rewind")["fell_back"]) - before
    assert [result["value"] for result in reply["results"]] == arguments
    assert reply["tier"] == "fork"
    assert 1 <= fallen <= 8  # those that two zygotes had by then: one runs, three wait in each


def test_replicas_fall_back(daemon: Daemon) -> None:
    reply = daemon.call(f"def f():\n  {NEEDS_A_FORK}\n  return 1", "", REPLICAS=2)
    assert reply["replicas"] == [["1"], ["1"]]
    assert reply["lost_us"] > 0


def test_nothing_is_lost_where_nothing_falls_back(daemon: Daemon) -> None:
    assert daemon.call("def f(): return 1", "")["lost_us"] == 0
    assert daemon.call("def f(): return 1", "", TIER="fork")["lost_us"] == 0
    assert daemon.run("print(1)")["lost_us"] == 0


def test_lost_time_is_in_the_histogram(daemon: Daemon) -> None:
    with daemon.connect() as client:
        before = client.info("latency")["lost_us"]["count"]
        daemon.call(f"def f(): {NEEDS_A_FORK}", "")
        assert client.info("latency")["lost_us"]["count"] == before + 1


def test_two_falls(jailing: Daemon) -> None:
    """From the first tier to the last: three runs, each with all its time."""
    script = f"{SPENDS}spend(200)\n{NEEDS_A_FORK}\n{NEEDS_A_JAIL}\nprint('end')"
    alone = min(cpu(jailing.run(script, TIER="jail")) for _ in range(3))
    reply = jailing.run(script)
    assert (reply["verdict"], reply["tier"]) == ("ok", "jail")
    assert reply["stdout"].split() == ["end"]
    assert cpu(reply) > 1.5 * alone
    assert reply["lost_us"] > 0.5 * alone


def test_a_named_tier_is_kept(jailing: Daemon) -> None:
    for tier in ("rewind", "fork"):
        reply = jailing.run(NEEDS_A_JAIL, TIER=tier)
        assert (reply["verdict"], reply["tier"]) == ("error", "fork")
    assert jailing.run("print(1)", TIER="jail")["tier"] == "jail"
    call = f"def f():\n  {NEEDS_A_JAIL}"
    assert jailing.call(call, "")["tier"] == "fork"
