"""Checkpoints are whole or absent: crashes, full disks, damaged files."""

import os
import subprocess
import sys
import textwrap

import pytest
import safetensors.torch
import torch

from azr_fast.errors import UserError
from azr_fast.policy.checkpoint import (
    is_whole,
    latest_checkpoint,
    prune_checkpoints,
    write_checkpoint,
)


def write_some(folder):
    (folder / "model").mkdir()
    (folder / "model" / "weights").write_bytes(b"x" * 1000)
    (folder / "state").write_bytes(b"y" * 10)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_appears_whole(tmp_path):
    write_checkpoint(tmp_path / "step-3", write_some)
    assert names(tmp_path) == ["step-3"]
    assert is_whole(tmp_path / "step-3")
    assert (tmp_path / "step-3/model/weights").read_bytes() == b"x" * 1000


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path):
    write_checkpoint(tmp_path / "step-3", lambda folder: (folder / "old").touch())
    write_checkpoint(tmp_path / "step-3", write_some)
    assert names(tmp_path / "step-3") == ["manifest.json", "model", "state"]


@pytest.mark.parametrize("failure", [RuntimeError("bug"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_and_is_not_hidden(tmp_path, failure):
    def write(folder):
        write_some(folder)
        raise failure

    write_checkpoint(tmp_path / "step-1", write_some)
    with pytest.raises(type(failure)):
        write_checkpoint(tmp_path / "step-2", write)
    assert names(tmp_path) == ["step-1"]


def test_the_partial_folder_of_a_killed_process_is_ignored_and_cleared(tmp_path):
    write_checkpoint(tmp_path / "step-1", write_some)
    script = """
        import os, signal, sys
        from pathlib import Path
        from azr_fast.policy.checkpoint import write_checkpoint
        def write(folder):
            (folder / "half").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        write_checkpoint(Path(sys.argv[1]), write)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "step-2")]
    assert subprocess.run(command, env=os.environ, check=False).returncode == -9
    assert latest_checkpoint(tmp_path) == tmp_path / "step-1"
    write_checkpoint(tmp_path / "step-2", write_some)
    assert names(tmp_path) == ["step-1", "step-2"]
    assert not (tmp_path / "step-2/half").exists()


FULL_DISK = """
    import resource, sys, torch, safetensors.torch
    from pathlib import Path
    from azr_fast.errors import UserError
    from azr_fast.policy.checkpoint import write_checkpoint
    def write(folder):
        {write}
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # writes beyond 1 MiB fail
    try:
        write_checkpoint(Path(sys.argv[1]), write)
    except UserError as error:
        print(error)
"""


@pytest.mark.parametrize(
    "write",
    [
        'safetensors.torch.save_file({"w": torch.zeros(1 << 20)}, folder / "w")',
        '(folder / "w").write_bytes(bytes(1 << 22))',
    ],
    ids=["safetensors", "plain"],
)
def test_a_disk_that_fails_is_one_line_and_the_old_checkpoint_stays(tmp_path, write):
    write_checkpoint(tmp_path / "step-1", write_some)
    script = textwrap.dedent(FULL_DISK).format(write=write)
    command = [sys.executable, "-c", script, str(tmp_path / "step-2")]
    done = subprocess.run(command, env=os.environ, check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"cannot write checkpoint {tmp_path / 'step-2'}: ")
    assert "free disk space, then go on with azr-fast train --resume" in done.stdout
    assert done.stdout.count("\n") == 1
    assert names(tmp_path) == ["step-1"]
    assert latest_checkpoint(tmp_path) == tmp_path / "step-1"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_names_the_remedy(small_disk):
    def write(folder):
        safetensors.torch.save_file({"w": torch.zeros(1 << 20)}, folder / "w")

    write_checkpoint(small_disk / "step-1", write_some)
    with pytest.raises(UserError, match=r"(?s)No space left.*intact: free disk space"):
        write_checkpoint(small_disk / "step-2", write)
    assert names(small_disk) == ["step-1"]
    assert is_whole(small_disk / "step-1")


@pytest.mark.parametrize("damage", ["cut", "missing", "no manifest"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, damage):
    for step in (2, 10):
        write_checkpoint(tmp_path / f"step-{step}", write_some)
    assert latest_checkpoint(tmp_path) == tmp_path / "step-10"
    if damage == "cut":
        os.truncate(tmp_path / "step-10/model/weights", 999)
    else:
        (tmp_path / "step-10" / ("state" if damage == "missing" else "manifest.json")).unlink()
    assert latest_checkpoint(tmp_path) == tmp_path / "step-2"


def test_the_newest_are_kept(tmp_path):
    for step in (9, 10, 100, 2):
        write_checkpoint(tmp_path / f"step-{step}", write_some)
    (tmp_path / "notes").touch()
    prune_checkpoints(tmp_path, 2)
    assert names(tmp_path) == ["notes", "step-10", "step-100"]


def test_no_checkpoint_yet(tmp_path):
    assert latest_checkpoint(tmp_path) is None
