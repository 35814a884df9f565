"""Each hostile program of the package `attacks` meets its right end, changes nothing of the host,
and the next program gets its normal answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .attacks import ATTACKS, FAMILIES, Attack
from .attacks.host import Host, standing_host
from .conftest import Daemon, children_of, next_program_is_fine


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    with standing_host() as one:
        yield one


def limits(attack: Attack) -> dict[str, int]:
    """Patience with all but those that must be stopped."""
    patience = 400 if "timeout" in attack.verdicts else 30_000
    return {"TIMEOUT": patience, "MEMORY": 256 << 20} | attack.options


def attempt(daemon: Daemon, host: Host, attack: Attack) -> tuple[dict[str, Any], dict[str, Any]]:
    """The reply, and the part of it that is about the case."""
    program = host.aim(attack.program, daemon.path)
    if attack.script:
        reply = daemon.run(program, **limits(attack))
        return reply, reply | {"value": None}
    reply = daemon.call(program, "", **limits(attack))
    (result,) = reply["results"]
    return reply, result if reply["verdict"] == "ok" else reply | {"value": result["value"]}


def assert_end(attack: Attack, reply: dict[str, Any], said: dict[str, Any]) -> None:
    assert said["verdict"] in attack.verdicts, reply
    if attack.value is not None:
        assert said["value"] == attack.value, reply
    elif "ok" not in attack.verdicts:
        assert said["value"] is None, reply
    if attack.types is not None:
        assert (said["type"] or said["reason"]) in attack.types, reply
    if attack.syscalls is not None:
        assert reply["syscall"] in attack.syscalls, reply
    if attack.signal is not None:
        assert reply["signal"] == attack.signal, reply
    if said["verdict"] == "crash":
        assert reply["signal"] is not None or "without a result" in reply["message"], reply


def survive(daemon: Daemon, host: Host, attack: Attack) -> None:
    zygotes, before = daemon.zygote_pids(), host.state()
    for _ in range(attack.times):
        assert_end(attack, *attempt(daemon, host, attack))
    assert host.state() == before
    assert daemon.zygote_pids() == zygotes
    assert [children_of(pid) for pid in zygotes] == [[]] * len(zygotes)
    next_program_is_fine(daemon)


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(daemon: Daemon, host: Host, name: str) -> None:
    survive(daemon, host, ATTACKS[name])


@pytest.mark.parametrize(
    "name",
    [
        f"{family}/{name}"
        for family in ("process", "files", "network", "kernel", "sharing", "verdicts")
        for name, attack in FAMILIES[family].items()
        if not attack.reads
    ],
)
def test_attack_where_only_the_filter_holds(weakest: Daemon, host: Host, name: str) -> None:
    survive(weakest, host, ATTACKS[name])


def test_there_are_enough_of_each_family() -> None:
    programs = {attack.program for attack in ATTACKS.values()}
    assert len(programs) == len(ATTACKS)
    assert min(map(len, FAMILIES.values())) >= 10
