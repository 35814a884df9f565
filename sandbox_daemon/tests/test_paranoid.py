"""The checker of the rewind tier in a living daemon: faults made behind its back it sees.

`test_snapshot.cpp` and `test_traced.cpp` test its parts; here, that --paranoid asks all of them."""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .confined import launcher, possible
from .conftest import Daemon, children_of, eventually, running

PAGE = os.sysconf("SC_PAGE_SIZE")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may write to a zygote's memory")


@contextlib.contextmanager
def rewinding(*options: str, words: str = "") -> Iterator[Daemon]:
    """With one zygote that rewinds, if it can be had; `words` are for confined.py."""
    wanted = ("--zygotes", "1", "--rewind", "1", *options)
    with (
        tempfile.TemporaryDirectory(prefix="azr") as folder,
        running(f"{folder}/s", *wanted, launcher=launcher(words) if words else ()) as one,
    ):
        assert one.first_line.startswith("ready")
        if zygote(one) is None and not words:
            pytest.skip("this kernel cannot rewind: see azr-sandboxd --check")
        yield one


def zygote(daemon: Daemon) -> dict[str, int] | None:
    with daemon.connect() as client:
        info = client.info("zygotes")
    found = [v for name, v in info.items() if name != "zygotes" and v["tier"] == "rewind"]
    return found[0] if found else None


def pid_and_restarts(daemon: Daemon) -> tuple[int, int]:
    found = zygote(daemon)
    assert found is not None
    return int(found["pid"]), int(found["restarts"])


def memory_of_the_runner(zygote_pid: int) -> Path:
    """The file that is its heap. The zygote opens and closes others while this looks."""
    for entry in Path(f"/proc/{zygote_pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if "memfd:azr-runner" in str(entry.readlink()):
                return entry
    raise AssertionError(f"zygote {zygote_pid} has no runner")


def write_to_an_unused_page(pid: int) -> None:
    """To the file, past the runner's page tables: its tracking does not tell. Among many pages of
    zeros in a row is none that a program needs: one in the middle of seventeen is taken."""
    with memory_of_the_runner(pid).open("r+b", buffering=0) as file:
        at, zeros = 0, 0
        while zeros < 17:
            at = os.lseek(file.fileno(), at, os.SEEK_DATA) + PAGE
            zeros = zeros + 1 if not any(os.pread(file.fileno(), PAGE, at - PAGE)) else 0
        os.pwrite(file.fileno(), b"\x01", at - 9 * PAGE)


def limit_the_runner(pid: int) -> None:
    (runner,) = children_of(pid)
    soft, hard = resource.prlimit(runner, resource.RLIMIT_NOFILE)
    resource.prlimit(runner, resource.RLIMIT_NOFILE, (soft - 1, hard))


FAULTS: dict[str, Callable[[int], None]] = {
    "memory differs at": write_to_an_unused_page,
    "the kernel's state differs": limit_the_runner,
}


@as_root
@pytest.mark.parametrize("told", FAULTS)
def test_what_a_rewind_left_out_ends_the_zygote(told: str) -> None:
    with rewinding("--paranoid") as daemon:
        assert daemon.call("def f(): return 1", "")["tier"] == "rewind"
        pid, restarts = pid_and_restarts(daemon)
        assert restarts == 0
        FAULTS[told](pid)
        daemon.call("def f(): return 1", "")
        assert eventually(lambda: pid_and_restarts(daemon)[1] == 1)
        assert eventually(lambda: daemon.call("def f(): return 1", "")["tier"] == "rewind")
        assert pid_and_restarts(daemon)[1] == 1  # the one after it is sound
        daemon.stop()
        assert daemon.process.stderr is not None
        assert told in daemon.process.stderr.read()


@as_root
@pytest.mark.parametrize("told", FAULTS)
def test_without_the_checker_nobody_notices(told: str) -> None:
    """So it is the checker that does."""
    with rewinding() as daemon:
        daemon.call("def f(): return 1", "")
        FAULTS[told](pid_and_restarts(daemon)[0])
        replies = [daemon.call("def f(): return 1", "") for _ in range(3)]
        assert {(reply["verdict"], reply["tier"]) for reply in replies} == {("ok", "rewind")}
        assert pid_and_restarts(daemon)[1] == 0


def pages_of_the_runner(zygote_pid: int) -> Iterator[bytes]:
    with (
        memory_of_the_runner(zygote_pid).open("rb", buffering=0) as file,
        contextlib.suppress(
            OSError  # no more data
        ),
    ):
        at = 0
        while True:
            at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            yield os.pread(file.fileno(), PAGE, at)
            at += PAGE


@as_root
def test_a_new_runner_knows_nothing_of_the_program_before() -> None:
    """Not even what the zygote was told of it."""
    seed, text = 0x1234_5678_9ABC_DEF1, "a text that is nowhere else"
    with rewinding() as daemon:
        endless = f"x = {text!r}\ndef f():\n  while True: x"
        for _ in range(2):
            reply = daemon.call(endless, "", TIMEOUT=200, SEED=seed)
            assert (reply["verdict"], reply["tier"]) == ("timeout", "rewind")
        assert daemon.call("def f(): return 1", "")["tier"] == "rewind"
        pages = list(pages_of_the_runner(pid_and_restarts(daemon)[0]))
    assert len(pages) > 1000
    for trace in (seed.to_bytes(8, "little"), text.encode()):
        assert not any(trace in page for page in pages)


@pytest.mark.parametrize("words", ["mapped", "mapped-root", "no-landlock"])
def test_it_works_without_privileges(words: str) -> None:
    if not possible(words):
        pytest.skip("this machine lets no process be confined so")
    with rewinding():
        pass  # where this process cannot have it, one that may do less cannot either
    with rewinding("--paranoid", words=words) as daemon:
        replies = [daemon.call("def f(): return 1", "") for _ in range(3)]
        assert {(reply["verdict"], reply["tier"]) for reply in replies} == {("ok", "rewind")}
        assert pid_and_restarts(daemon)[1] == 0
