"""What the OpenMP runtime finds in its environment, and how many cores a process may keep busy."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from azr_fast import cgroups, threads

CHOSEN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
AFFINITY = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHOSEN:
        monkeypatch.setenv(name, "")  # so that it is as before after the test
        monkeypatch.delenv(name)


def gomp_of_the_cli(**environment: str) -> dict[str, str]:
    """What libgomp says that it read, in a process in which torch was loaded after a command."""
    torch = importlib.util.find_spec("torch")
    if not (torch and torch.origin and (Path(torch.origin).parent / "lib/libgomp.so.1").exists()):
        pytest.skip("this torch brings another OpenMP runtime than GCC's")
    script = (
        "from azr_fast.cli.main import main; "
        "main(['models', 'list']); import torch, azr_fast._kernels"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"OMP_DISPLAY_ENV": "verbose"} | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(re.findall(r"(\w+) = '(.*)'", done.stderr))


def test_the_runtime_spins_for_a_bounded_time() -> None:
    gomp = gomp_of_the_cli()
    assert gomp["GOMP_SPINCOUNT"] == threads.SPINS
    assert gomp["OMP_PROC_BIND"] == "FALSE"
    assert int(gomp["OMP_NUM_THREADS"]) <= AFFINITY


def test_the_runtime_reads_what_the_user_set() -> None:
    gomp = gomp_of_the_cli(OMP_WAIT_POLICY="PASSIVE", OMP_NUM_THREADS="1")
    assert (gomp["GOMP_SPINCOUNT"], gomp["OMP_NUM_THREADS"]) == ("0", "1")


@pytest.mark.parametrize("variable", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_a_way_to_wait_that_the_user_set_wins(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_groups(tmp_path, monkeypatch, "0::/\n", {})
    monkeypatch.setenv(variable, "77")
    before = dict(os.environ)
    threads.set_environment()
    assert dict(os.environ) == before


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_number_of_threads_that_the_user_set_wins(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_groups(tmp_path, monkeypatch, "0::/\n", {"cpu.max": "50000 100000\n"})
    monkeypatch.setenv(variable, "3")
    before = dict(os.environ)
    threads.set_environment()
    assert dict(os.environ) == before | {"GOMP_SPINCOUNT": threads.SPINS}


def use_groups(
    folder: Path, monkeypatch: pytest.MonkeyPatch, membership: str, files: dict[str, str]
) -> None:
    """Put files in the place of /proc/self/cgroup and of what is under /sys/fs/cgroup."""
    (folder / "self").write_text(membership)
    for name, text in files.items():
        (folder / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "groups" / name).write_text(text)
    monkeypatch.setattr(cgroups, "MEMBERSHIP", folder / "self")
    monkeypatch.setattr(cgroups, "ROOT", folder / "groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))


V1 = "9:name=systemd:/\n4:memory:/a\n1:cpu,cpuacct:/docker/1a/b\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        pytest.param("0::/\n", {}, 64, id="no controller"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, 64, id="no limit"),
        pytest.param("0::/\n", {"cpu.max": "200000 100000\n"}, 2, id="a container's root"),
        pytest.param("0::/\n", {"cpu.max": "50000 100000\n"}, 1, id="half a core"),
        pytest.param("0::/\n", {"cpu.max": "390000 100000\n"}, 3, id="whole cores only"),
        pytest.param("0::/\n", {"cpu.max": "9900000 100000\n"}, 64, id="more than there is"),
        pytest.param(
            "0::/a.slice/b.scope\n",
            {"a.slice/cpu.max": "300000 100000\n", "a.slice/b.scope/cpu.max": "max 100000\n"},
            3,
            id="an outer group's limit",
        ),
        pytest.param(
            "0::/a.slice/b.scope\n",
            {"a.slice/cpu.max": "800000 100000\n", "a.slice/b.scope/cpu.max": "50000 10000\n"},
            5,
            id="the smallest of several",
        ),
        pytest.param("0::/host/path\n", {"cpu.max": "400000 100000\n"}, 4, id="the host's path"),
        pytest.param(
            V1,
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            2,
            id="version 1",
        ),
        pytest.param(
            V1,
            {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            64,
            id="version 1, no limit",
        ),
    ],
)
def test_a_quota_of_the_container_bounds_the_threads(
    membership: str,
    files: dict[str, str],
    cores: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_groups(tmp_path, monkeypatch, membership, files)
    assert threads.usable_cores() == cores
    threads.set_environment()
    assert os.environ.get("OMP_NUM_THREADS") == (str(cores) if cores < 64 else None)


def test_affinity_bounds_the_threads() -> None:
    one = str(min(os.sched_getaffinity(0)))
    script = "from azr_fast import cgroups, threads; print(threads.usable_cores())"
    command = ["taskset", "--cpu-list", one, sys.executable, "-c", script]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"1\n"
