"""Short runs of the soak and of the kills, as a person starts the long ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import executable

BENCH = Path(__file__).parent.parent / "bench"


def figures(tool: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCH / tool), executable(), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("tier", [(), ("--rewind", "2", "--paranoid")], ids=["fork", "rewind"])
def test_soak(tier: tuple[str, ...]) -> None:
    found = figures("soak.py", "--programs", "2000", "--seed", "1", *tier)
    assert found["programs"] == 2000
    assert found["hostile"] > 0
    assert found["faults"] == []


@pytest.mark.parametrize("tier", ["fork", "rewind"])
def test_kills(tier: str) -> None:
    words = ("--rewind", "2") if tier == "rewind" else ()
    found = figures("chaos.py", "--kills", "16", "--pause", "0.15", "--seed", "3", *words)
    assert found["kills"] == {"zygote": 9, "client": 5, "broker": 2}
    assert found["right"] > 0
    assert found["faults"] == []
