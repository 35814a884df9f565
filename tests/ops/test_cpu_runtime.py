"""What the C++ kernels share with torch, and what they ask of the operating system."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from azr_fast import _kernels


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


def test_huge_pages():
    if not Path("/sys/kernel/mm/transparent_hugepage").exists():
        pytest.skip("this kernel has no huge pages")
    buffer = torch.empty(40, 1 << 18)[:, :-3]
    assert "hg" not in flags(buffer)
    _kernels.use_huge_pages(buffer)
    assert "hg" in flags(buffer)
    _kernels.use_huge_pages(torch.empty(0, 5))
    _kernels.use_huge_pages(torch.empty(2, 5))


def flags(buffer):
    """The kernel's flags of the memory in the middle of a buffer; hg: huge pages were asked for."""
    within, middle = False, buffer[buffer.shape[0] // 2].data_ptr()
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if bounds := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            within = int(bounds[1], 16) <= middle < int(bounds[2], 16)
        elif within and line.startswith("VmFlags:"):
            return line.split()
    raise LookupError(middle)
