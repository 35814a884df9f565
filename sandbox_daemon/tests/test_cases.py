"""The cases of one CALL: what they share, and what ISOLATE keeps apart."""

from __future__ import annotations

import pytest

from .conftest import Daemon


@pytest.mark.parametrize("isolate", [0, 1])
def test_cases_share_a_program_unless_isolated(daemon: Daemon, isolate: int) -> None:
    program = "n = 0\ndef f():\n  global n\n  n += 1\n  return n"
    reply = daemon.call(program, "", "", "", ISOLATE=isolate)
    values = [result["value"] for result in reply["results"]]
    assert values == (["1", "1", "1"] if isolate else ["1", "2", "3"])


def test_a_crash_spares_the_other_isolated_cases(daemon: Daemon) -> None:
    program = "import os\ndef f(x):\n  if x == 2: os.abort()\n  return x"
    isolated = daemon.call(program, "1", "2", "3", ISOLATE=1)
    assert [r["verdict"] for r in isolated["results"]] == ["ok", "crash", "ok"]
    assert isolated["verdict"] == "ok"
    together = daemon.call(program, "1", "2", "3")
    assert [r["verdict"] for r in together["results"]] == ["ok", "crash", "crash"]
    assert together["verdict"] == "crash"
    assert together["signal"] == 6
