"""Other ways to run the same program, as far as they are here: name to programs per second."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

PROGRAM = "def f(x): return sorted(x)"
ARGUMENT, VALUE = "[3, 1, 2]", "[1, 2, 3]"
SCRIPT = f"{PROGRAM}\nprint(f({ARGUMENT}))"
INTERPRETER = (sys.executable, "-I", "-S", "-c", SCRIPT)
BUBBLEWRAP = (
    *("bwrap", "--ro-bind", "/", "/", "--unshare-all", "--die-with-parent", "--new-session"),
    *("--clearenv", "--cap-drop", "ALL", *INTERPRETER),
)
SIDE_BY_SIDE = 2


def _timed(work: Callable[[int], None], count: int) -> float:
    begin = time.perf_counter()
    work(count)
    return count / (time.perf_counter() - begin)


def _processes(command: tuple[str, ...], count: int) -> None:
    def one(_: int) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == f"{VALUE}\n"

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(one, range(count)))


def _execute(_: int) -> str:
    names: dict[str, Callable[[list[int]], list[int]]] = {}
    exec(PROGRAM, names)
    return repr(names["f"]([3, 1, 2]))


def _process_pool(count: int) -> None:
    with ProcessPoolExecutor(SIDE_BY_SIDE) as pool:
        assert set(pool.map(_execute, range(count), chunksize=1)) == {VALUE}


def bare_fork(executable: Path) -> Callable[[], float]:
    """The interpreter of the daemon, forking without any isolation: the floor."""
    words = [executable, "--processes", str(SIDE_BY_SIDE), "--count", "2000"]
    return lambda: float(subprocess.run(words, capture_output=True, check=True).stdout)


def peers() -> dict[str, Callable[[], float]]:
    found: dict[str, Callable[[], float]] = {
        "fresh interpreter, no isolation": lambda: _timed(
            lambda count: _processes(INTERPRETER, count), 100
        ),
        "ProcessPoolExecutor, shared interpreters, no isolation": lambda: _timed(
            _process_pool, 4000
        ),
    }
    if shutil.which("bwrap"):
        found["bubblewrap + interpreter"] = lambda: _timed(
            lambda count: _processes(BUBBLEWRAP, count), 60
        )
    return found
