"""How the kernel is asked to let broker, zygotes and programs take turns."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import struct
from pathlib import Path

import pytest

from .conftest import running

SCHED_GETATTR = 315  # x86-64
ATTRIBUTES = struct.Struct("IIQiIQQQ")  # sched_setattr(2)


def policy_nice_and_turn(pid: int) -> tuple[int, int, int]:
    """The last in nanoseconds."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(ATTRIBUTES.size)
    if libc.syscall(SCHED_GETATTR, pid, buffer, ATTRIBUTES.size, 0) != 0:
        raise OSError(ctypes.get_errno(), "sched_getattr")
    _, policy, _, nice, _, turn, _, _ = ATTRIBUTES.unpack(buffer.raw)
    return policy, nice, turn


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the number of the system call")
def test_turns_are_short_and_nice_is_kept(folder: Path) -> None:
    with running(str(folder / "s"), "--zygotes", "2", launcher=("nice", "-n", "3")) as daemon:
        found = set(map(policy_nice_and_turn, [daemon.process.pid, *daemon.zygote_pids()]))
    major, minor = re.findall(r"\d+", platform.release())[:2]
    turn = 100_000 if (int(major), int(minor)) >= (6, 12) else 0
    assert found == {(os.SCHED_BATCH, os.nice(0) + 3, turn)}
