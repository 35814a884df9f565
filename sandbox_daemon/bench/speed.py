"""How fast the daemon is, beside a bare fork loop and what else there is, in one run.

Every rate is a median over rounds in which all contestants take their turn. The client shares the
cores. `--json FILE` keeps the figures.

usage: speed.py BUILD_FOLDER [--rounds N] [--seconds S] [--path DIR:DIR] [--json FILE]
       (a build with -DAZR_SANDBOXD_BENCH=ON; --path: where numpy and sympy are)
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import latency
from daemon_process import Daemon, table
from load import Job, call, rate
from peers import ARGUMENT, PROGRAM, VALUE, bare_fork, peers

TINY = call(PROGRAM, ARGUMENT, VALUE)
TEN = call(PROGRAM, ARGUMENT, VALUE, cases=10)
JAILED = call(PROGRAM, ARGUMENT, VALUE, "TIER", "jail")
POOLS = {"bare": "sys", "numpy": "numpy", "numpy_sympy": "numpy,sympy"}
HANG = Job(("CALL", "import time\ndef f(): time.sleep(60)", "f", "1", "", "TIMEOUT", "60000"), "")

TEN_CASES = "cases of CALL with ten, fork tier"

Contest = dict[str, Callable[[], float]]


@contextlib.contextmanager
def daemon(build: Path, *options: str) -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="azr") as folder:
        one = Daemon(str(build / "azr-sandboxd"), f"{folder}/s", *options)
        try:
            yield one
        finally:
            one.end()


def in_turn(contest: Contest, rounds: int) -> dict[str, list[float]]:
    seen: dict[str, list[float]] = {name: [] for name in contest}
    for _ in range(rounds):
        for name, measure in contest.items():
            seen[name].append(measure())
    return seen


def medians(contest: Contest, rounds: int) -> dict[str, float]:
    seen = in_turn(contest, rounds)
    return {name: statistics.median(figures) for name, figures in seen.items()}


def throughput(build: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Programs per second of each tier and of the peers; and cases, of CALL with ten."""
    cores = len(os.sched_getaffinity(0))
    with daemon(build, "--jail", str(2 * cores)) as one:
        contest: Contest = {
            "bare fork loop, no isolation": bare_fork(build / "azr-bare-fork"),
            "fork tier": lambda: rate(one.path, TINY, arguments.seconds),
            TEN_CASES: lambda: 10 * rate(one.path, TEN, arguments.seconds),
            "jail tier": lambda: rate(one.path, JAILED, arguments.seconds),
        }
        return medians(contest | peers(), arguments.rounds)


def imports(build: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Programs per second of pools with more and more imported; without --path the plain ones."""
    pools = POOLS if arguments.path else {"bare": POOLS["bare"]}
    cores = len(os.sched_getaffinity(0))
    spelled = " ".join(f"{name}={2 * cores}:{modules}" for name, modules in pools.items())
    with daemon(build, "--pools", spelled, "--path", arguments.path) as one:

        def of_pool(name: str) -> Callable[[], float]:
            job = call(PROGRAM, ARGUMENT, VALUE, "POOL", name)
            return lambda: rate(one.path, job, arguments.seconds)

        contest = {name: of_pool(name) for name in ("default", *pools)}
        return medians(contest, arguments.rounds)


def latency_of(build: Path, rounds: int) -> dict[str, Any]:
    with daemon(build) as one:
        return latency.at_half_load(one.path, TINY, 4 * rounds)


def hanging(build: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Ten zygotes; another client holds one of them all the while with a program that hangs."""
    with daemon(build, "--zygotes", "10") as one, one.connect() as other:

        def beside_a_hang() -> float:
            connection = other.connection_pool.get_connection()
            connection.send_packed_command([HANG.request])
            figure = rate(one.path, TINY, arguments.seconds)
            connection.disconnect()
            return figure

        contest: Contest = {
            "nothing hangs": lambda: rate(one.path, TINY, arguments.seconds),
            "one zygote in ten hangs": beside_a_hang,
        }
        return medians(contest, arguments.rounds)


def machine(build: Path) -> dict[str, Any]:
    """And the Python that programs run in."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "?")
    with daemon(build) as one, one.connect() as client:
        version = "import sys\ndef f(): return sys.version"
        reply = client.execute_command("CALL", version, "f", 1, "")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "model": model,
        "kernel": platform.release(),
        "python": ast.literal_eval(reply["results"][0]["value"]).split()[0],
    }


def measure(build: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    with daemon(build) as one, one.connect() as client:
        level = client.info("security")["level"]
    return {
        "machine": machine(build),
        "level": level,
        "programs_per_second": throughput(build, arguments),
        "by_imports": imports(build, arguments),
        "latency_at_half_load": latency_of(build, arguments.rounds),
        "beside_hangs": hanging(build, arguments),
    }


def report(figures: dict[str, Any]) -> str:
    rates = dict(figures["programs_per_second"])
    cases, ours = rates.pop(TEN_CASES), rates["fork tier"]
    rows: list[list[object]] = [["", "programs/s", "fork tier is"]]
    rows += [[name, round(figure), f"{ours / figure:.2f}x"] for name, figure in rates.items()]
    pools: list[list[object]] = [["imported", "programs/s"]]
    pools += [[name, round(figure)] for name, figure in figures["by_imports"].items()]
    free, beside = figures["beside_hangs"].values()
    return "\n\n".join(
        [
            f"{figures['machine']}, isolation level {figures['level']}",
            table(rows),
            f"{TEN_CASES}: {cases:,.0f} per second",
            table(pools),
            latency.report(figures["latency_at_half_load"]),
            f"with one zygote in ten hanging: {beside / free:.0%} of {free:,.0f} programs/s",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each rate's measurement")
    parser.add_argument("--path", default="", help="folders with numpy and sympy")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = measure(arguments.build, arguments)
    print(report(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
