"""Random inputs that differ in each run, and processes in which Triton kernels can be tried."""

import os
import pickle
import secrets
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for head_cases and its like

from builds import ISAS, use_isa  # noqa: E402

if find_spec("hypothesis"):  # what a machine with a GPU need not have
    from hypothesis import settings

    settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
    settings.load_profile("untimed")


@pytest.fixture
def seed():
    """Anew in each run; pytest prints that of a test that fails, AZR_TEST_SEED repeats it."""
    value = int(os.environ.get("AZR_TEST_SEED", secrets.randbits(32)))
    print(f"AZR_TEST_SEED={value}")
    return value


@pytest.fixture
def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=ISAS)
def isa(request, monkeypatch):
    """Each build of the C++ kernels."""
    use_isa(request.param, monkeypatch)


class Interpreter:
    """Calls functions in a process where Triton runs kernels as numpy, on CPU tensors."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, HERE / "interpreter.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"TRITON_INTERPRET": "1"},
        )

    def __call__(self, place, *arguments, **options):
        """What `module:function` returned, and its arguments as it left them."""
        pickle.dump((place, arguments, options), self._process.stdin)
        self._process.stdin.flush()
        outcome = pickle.load(self._process.stdout)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self):
        self._process.stdin.close()
        assert self._process.wait(60) == 0


@pytest.fixture(scope="package")
def interpreter():
    process = Interpreter()
    yield process
    process.close()
