"""A disk that is full at any write: the checkpoint before it is whole, what to free is said, and with
room again the run goes on as if nothing had been."""

import os
import random
import re
import subprocess
from contextlib import contextmanager

import pytest

from azr_fast.policy.checkpoint import is_whole, latest_checkpoint

from .runs import assert_equal

KIB = 1024
# The run takes about 2.4 MiB; below 200 KiB not even its folder is made.
SIZES = range(200, 2600, 100)
ENDINGS = (
    r"the disk is full: free some space: .* are free on the disk of .*--resume",
    r"cannot write checkpoint .*No space left on device.*earlier checkpoints are intact: free disk",
    r"the checkpoints of .* are free where .* lies: free some",  # before anything is written
    r"cannot (make|write in) run folder .*: No space left on device",
)


@contextmanager
def disk(folder, size):
    """A file system of `size` KiB at `folder`; gives what sets its size."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs needs root")
    remount = ["mount", "-o", "remount,size={}k", str(folder)]
    try:
        yield lambda size: subprocess.run([w.format(size) for w in remount], check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(runs, size):
    """A run on a disk of `size` KiB, and, if that is too small, with more room; whether it was."""
    name = f"full-{size}"
    with disk(runs.folder / f"disk-{size}", size) as resize:
        folder = runs.folder / f"disk-{size}"
        told = runs.start(name, folder=folder)
        if told["code"]:
            said = runs.log(name).read_text().splitlines()
            assert told["code"] == 2, said
            assert any(re.search(ending, said[-1]) for ending in ENDINGS), said[-1]
            newest = latest_checkpoint(folder / name / "checkpoints")
            assert newest is None or is_whole(newest)
            resize(1 << 16)
            assert "Traceback" not in runs.log(name).read_text()
            runs.finish(name, folder=folder)
        assert_equal(folder / name, runs.folder / "straight")
    return bool(told["code"])


def test_a_full_disk_loses_nothing(runs, straight, seed):
    sizes = random.Random(seed).sample(SIZES, 3)
    print(f"sizes {sizes}")
    fulls = [fill(runs, size) for size in sizes]
    assert any(fulls)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_disk_of_any_size_loses_nothing(runs, straight):
    assert sum(fill(runs, size + 50) for size in SIZES) >= 10
