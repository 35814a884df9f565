"""Each operation's benchmark on a CPU, with a few tokens, as a person starts the long one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def times_in(results):
    """All tables of contestants, however deep."""
    if "ours: C++" in results or "ours: one pass, C++" in results:
        yield results
    for value in results.values():
        if isinstance(value, dict):
            yield from times_in(value)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(  # a minute; its sides are tested against fp64 apart
            ("linear_policy_loss", "--models", "SmolLM2-135M"), marks=pytest.mark.slow
        ),
        ("linear_logprob",),
        ("selective_logprob",),
        ("group_advantage",),
    ],
    ids=["linear_policy_loss", "linear_logprob", "selective_logprob", "group_advantage"],
)
def test_contestants_agree(words, tmp_path):
    output = tmp_path / "results.json"
    kernel, *options = words
    few = ["--tokens", "8", "--repeats", "1", "--output", output]
    subprocess.run([sys.executable, BENCHMARKS / f"{kernel}.py", *options, *few], check=True)
    tables = list(times_in(json.loads(output.read_text())))
    assert tables
    for times in tables:
        assert len(times) > 2
        for row in times.values():
            assert row["wall_s"] > 0
            assert row["difference"] < 0.1
