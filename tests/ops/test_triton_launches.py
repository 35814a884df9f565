"""Launches as the operations make them compile: arguments, their specialisation, descriptors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .sm90 import CACHE

LAUNCHES = Path(__file__).parent / "launches.py"
KERNELS = {
    "head_tiles",
    "merge_tiles",
    "policy_loss_rows",
    "row_statistics",
    "logprob_forward",
    "logprob_backward",
    "advantage_tokens",
}


@pytest.mark.slow
def test_every_launch_compiles_for_an_h100():
    done = subprocess.run(
        [sys.executable, LAUNCHES],
        env=os.environ | {"TRITON_CACHE_DIR": str(CACHE)},
        check=True,
        capture_output=True,
        text=True,
    )
    compiled = {tuple(line.split()) for line in done.stdout.splitlines()}
    assert compiled == {(kernel, "ok") for kernel in KERNELS}
