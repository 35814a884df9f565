"""A daemon with jails, for the tests of what programs may do in them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import pytest

from .conftest import Daemon, running


@pytest.fixture(scope="module")
def jail() -> Iterator[Daemon]:
    with (
        tempfile.TemporaryDirectory(prefix="azr") as path,
        running(f"{path}/s", "--zygotes", "1", "--jail", "2", "--timeout", "60000") as one,
    ):
        assert one.first_line.startswith("ready"), one.process.communicate()[1]
        yield one


def jailed(daemon: Daemon, program: str, **options: Any) -> Any:
    return daemon.call(dedent(program), "", TIER="jail", **options)


def is_fine(daemon: Daemon) -> None:
    for _ in range(3):  # both zygotes
        reply = jailed(daemon, "import os\ndef f(): return os.listdir('/tmp'), os.getpid()")
        assert reply["results"][0]["value"] == "([], 1)", reply


def zygotes_of(daemon: Daemon) -> list[int]:
    with daemon.connect() as connection:
        zygotes = connection.info("zygotes")
    return [v["pid"] for k, v in zygotes.items() if k != "zygotes" and v["tier"] == "jail"]
