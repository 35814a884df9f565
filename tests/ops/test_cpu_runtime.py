"""What the C++ kernels share with torch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch


@pytest.mark.parametrize("order", ["torch, azr_fast._kernels", "azr_fast._kernels, torch"])
def test_threads_are_those_of_torch(order):
    """Two OpenMP runtimes would spin on the same cores."""
    if not (Path(torch.__file__).parent / "lib/libgomp.so.1").exists():
        pytest.skip("this torch brings its OpenMP under a name of its own")
    script = f"import {order}; print(open('/proc/self/maps').read())"
    maps = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert len(set(re.findall(r"/\S*/lib[gi]?omp[^/]*\.so\S*", maps.stdout))) == 1
