"""A new run's folder is whole or absent, and one process has its name."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.observe.runfolder import RunFolder

HOLD = (
    "import sys; from azr_fast.config.load import load_config\n"
    "from azr_fast.observe.runfolder import RunFolder\n"
    "config = load_config('cpu', {'run.dir': sys.argv[1], 'run.name': 'one'})\n"
    "run = RunFolder.begin(config); print('held', flush=True); sys.stdin.read(1)\n"
    "run.settle(); print('made', flush=True); sys.stdin.read()\n"
)


@pytest.fixture
def config(tmp_path):
    return load_config("cpu", {"run.dir": str(tmp_path / "runs" / "mine"), "run.name": "one"})


@pytest.fixture
def holder(config):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, config.run.dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_nothing_is_seen_until_it_settles_and_nothing_left_if_it_never_does(config, tmp_path):
    with RunFolder.begin(config) as run:
        assert not run.path.exists()
        assert not run.made
    assert list(tmp_path.iterdir()) == []
    with RunFolder.begin(config) as run:
        run.settle()
        assert run.made
    assert {path.name for path in run.path.iterdir()} == {
        *("config.toml", "run.json", "samples", "checkpoints")
    }
    assert os.listdir(run.path.parent) == ["one"]


def test_of_two_that_want_one_name_one_gets_it(config, holder):
    with pytest.raises(UserError, match=r"one is being made by another azr-fast: choose another"):
        RunFolder.begin(config)
    holder.stdin.write(b"x")
    holder.stdin.flush()
    assert holder.stdout.readline() == b"made\n"
    with pytest.raises(UserError, match=r"one exists: choose another --run\.name, or go on"):
        RunFolder.begin(config)
    with pytest.raises(UserError, match="one is in use by another azr-fast"):
        RunFolder.resume(Path(config.run.dir) / "one")
    assert os.listdir(config.run.dir) == ["one"]


def test_what_a_killed_process_left_is_taken_over(config, holder):
    holder.kill()
    holder.communicate()
    assert os.listdir(config.run.dir) == [".one.partial"]
    RunFolder.create(config).close()
    assert os.listdir(config.run.dir) == ["one"]


def test_what_killed_processes_left_is_swept_and_what_others_hold_is_not(config, holder, tmp_path):
    """Names are dates unless given, so that the same one never comes again."""
    hidden = Path(config.run.dir) / ".two.partial"
    hidden.mkdir()
    (hidden / "run.json").write_text("")
    (Path(config.run.dir) / ".notes.partial").mkdir()  # of somebody else
    three = load_config("cpu", {"run.dir": config.run.dir, "run.name": "three"})
    with RunFolder.begin(three):
        assert sorted(os.listdir(config.run.dir)) == [
            ".notes.partial",
            ".one.partial",
            ".three.partial",
        ]


def test_a_hint_with_spaces_can_be_typed(tmp_path):
    spaced = load_config("cpu", {"run.dir": str(tmp_path / "my runs"), "run.name": "a b"})
    RunFolder.create(spaced).close()
    with pytest.raises(UserError) as refused:
        RunFolder.begin(spaced)
    words = shlex.split(str(refused.value).partition("go on with it: ")[2])
    assert words[-3:] == ["train", "--resume", str(tmp_path / "my runs" / "a b")]


def test_an_empty_folder_may_be_there_and_nothing_else(config, tmp_path):
    place = tmp_path / "runs" / "mine" / "one"
    place.mkdir(parents=True)
    RunFolder.create(config).close()
    assert (place / "run.json").exists()

    for occupy in (
        lambda path: path.write_text(""),
        lambda path: path.symlink_to(tmp_path),
        lambda path: path.symlink_to("nowhere"),
        lambda path: (path / "file").mkdir(parents=True),
    ):
        other = load_config("cpu", {"run.dir": str(tmp_path), "run.name": "taken"})
        occupy(tmp_path / "taken")
        with pytest.raises(UserError, match="choose another"):
            RunFolder.begin(other)
        (tmp_path / "taken").rename(tmp_path / f"was-{len(os.listdir(tmp_path))}")
    assert not any(name.startswith(".") for name in os.listdir(tmp_path))


@pytest.fixture
def full_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs needs root")
    (disk / "full").write_bytes(bytes(8192))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_refused_at_once_and_nothing_left(full_disk):
    config = load_config("cpu", {"run.dir": str(full_disk / "runs"), "run.name": "one"})
    with pytest.raises(UserError, match=r"cannot make run folder .*: No space left on device; "):
        RunFolder.begin(config)
    assert os.listdir(full_disk) == ["full"]
