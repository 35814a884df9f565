"""One daemon that has every tier, for what must be so in each of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .conftest import PATIENT, Daemon, running

TIERS = ("rewind", "fork", "jail")


@contextmanager
def daemon_of_all_tiers() -> Iterator[Daemon]:
    options = ("--zygotes", "2", "--rewind", "2", "--jail", "2", "--timeout", PATIENT)
    with (
        tempfile.TemporaryDirectory(prefix="azr") as path,
        running(f"{path}/s", *options, "--preload", "ctypes,time,signal,fcntl") as one,
    ):
        assert one.first_line.startswith("ready"), one.process.communicate()[1]
        yield one


@pytest.fixture(scope="module")
def tiers() -> Iterator[Daemon]:
    with daemon_of_all_tiers() as one:
        yield one
