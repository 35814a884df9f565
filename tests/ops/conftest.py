"""Fresh random inputs in every run; the seed is in a failure's captured output."""

import os
import secrets
import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # for head_cases

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture
def seed():
    """AZR_TEST_SEED repeats a failure."""
    value = int(os.environ.get("AZR_TEST_SEED", secrets.randbits(32)))
    print(f"AZR_TEST_SEED={value}")
    return value
