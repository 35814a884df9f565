"""REPLICAS: zygotes with different hash seeds must agree."""

from __future__ import annotations

import pytest

from .conftest import Daemon


@pytest.mark.parametrize(
    "program",
    [
        "def f(): return list({'a' + c for c in 'abcdefghijkl'})",
        "def f(): return id(object())",
        "import random\ndef f(): return random.random()",
        "def f(): return hash('a')",
        "import time\ndef f(): return time.time_ns()",
    ],
)
def test_replicas_catch_nondeterminism(daemon: Daemon, program: str) -> None:
    reply = daemon.call(program, "", REPLICAS=2)
    assert reply["verdict"] == reply["results"][0]["verdict"] == "nondeterministic"
    assert reply["results"][0]["value"] is None
    (first,), (second,) = reply["replicas"]
    assert first != second


def test_replicas_agree_on_the_deterministic(daemon: Daemon) -> None:
    program = "import random\ndef f(x): return {str(i) for i in x}, random.random()"
    reply = daemon.call(program, "range_", "[1, 2]", REPLICAS=2, SEED=7)
    assert reply["results"][0]["type"] == "BadArgument"
    assert reply["results"][1]["value"].startswith("({'1', '2'}, ")
    assert reply["verdict"] == "ok"
