"""What programs are told of the machine: nothing by which one could tell another a secret."""

from __future__ import annotations

import mmap
import os

import pytest

from .conftest import Daemon
from .tiers import TIERS, tiers

__all__ = ["tiers"]

# Of sysinfo(2): uptime, loads, memory in all and free, number of processes.
MACHINE = """
import ctypes, struct
def f(take):
    kept = bytearray(1) * take
    facts = ctypes.create_string_buffer(256)
    assert ctypes.CDLL(None).sysinfo(facts) == 0
    told = struct.unpack("l3L2L4LHH", facts.raw[:84])
    return told[:6], told[10]
"""


@pytest.mark.parametrize("tier", TIERS)
def test_what_drifts_of_the_machine_is_not_told(tiers: Daemon, tier: str) -> None:
    """Whatever a program does to it; but how much memory there is."""
    reply = tiers.call(MACHINE, "0,", "50_000_000,", TIER=tier)
    first, second = (result["value"] for result in reply["results"])
    memory = os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE
    assert first == second == str(((0, 0, 0, 0, memory, memory // 2), 1)), reply


@pytest.mark.parametrize("tier", TIERS)
def test_the_c_library_tells_of_memory_what_it_is_told(tiers: Daemon, tier: str) -> None:
    names = ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES", "SC_PAGE_SIZE")
    program = f"import os\ndef f(): return [os.sysconf(name) for name in {names}]"
    pages = os.sysconf("SC_PHYS_PAGES")
    (result,) = tiers.call(program, "", TIER=tier)["results"]
    assert result["value"] == str([pages, pages // 2, mmap.PAGESIZE]), result
