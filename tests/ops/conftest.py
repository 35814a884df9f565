"""Random inputs that differ in each run, and a process in which Triton kernels can be tried."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for head_cases and its like

from builds import ISAS, use_isa  # noqa: E402


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
