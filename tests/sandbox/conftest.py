"""One daemon for all sandbox tests. It is found as the launcher finds it; without it they fail."""

import sys
from pathlib import Path

import pytest

from azr_fast.sandbox.launcher import Sandbox
from azr_fast.sandbox.messages import Limits

sys.path.insert(0, str(Path(__file__).parent))  # for plain_strategies and programs

LIMITS = Limits(timeout_ms=10_000, memory_bytes=512 << 20, output_bytes=1 << 20)


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="session")
def client(sandbox):
    return sandbox.client(LIMITS)
