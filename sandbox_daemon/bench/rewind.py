"""How fast the rewind tier is through the socket, beside the fork tier and bare loops, in one run.

Every figure is a median over rounds in which all contestants take their turn, and every answer is
checked. The client shares the cores. `--json FILE` keeps the figures.

usage: rewind.py BUILD_FOLDER [--rounds N] [--seconds S] [--path DIR:DIR] [--cruxeval FILE]
       [--json FILE]   (a build with -DAZR_SANDBOXD_BENCH=ON; --path: where numpy is)
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

import latency
from daemon_process import table
from load import Job, call, rate, rate_of_many, rate_with_backlog
from peers import ARGUMENT, PROGRAM, VALUE, bare_fork
from sized_programs import from_cruxeval, of_cruxeval_size, of_twice_the_size
from speed import Contest, daemon, machine, medians

LATENCY = "latency_ms_at_half_load"
FORK = ("TIER", "fork")
BACKLOG = 4000  # jobs that wait
TEN = call(PROGRAM, ARGUMENT, VALUE, cases=10)
NUMPY = call(
    "import numpy as np\n"
    "def f(x):\n  a = np.array(x, dtype=float)\n  return (a @ a.T).round(3).tolist()",
    "[[1, 2], [3, 4]]",
    "[[5.0, 11.0], [11.0, 25.0]]",
    *("POOL", "numpy"),
)


def in_forks(jobs: list[Job]) -> list[Job]:
    return [Job((*job.words, *FORK), job.value) for job in jobs]


def bare_rewind(executable: Path) -> float:
    words = [executable, "--processes", "2", "--count", "30000"]
    return float(subprocess.run(words, capture_output=True, check=True).stdout)


def contest_of(path: str, build: Path, options: argparse.Namespace) -> Contest:
    tiny, seconds = call(PROGRAM, ARGUMENT, VALUE), options.seconds
    tiny_fork = Job((*tiny.words, *FORK), tiny.value)
    sized = [program.job for program in of_cruxeval_size(400, seed=1)]
    larger = [program.job for program in of_twice_the_size(400, seed=1)]
    return {
        "bare rewind loop": lambda: bare_rewind(build / "azr-bare-rewind"),
        "bare fork loop": bare_fork(build / "azr-bare-fork"),
        "rewind tier, tiny": lambda: rate(path, tiny, seconds),
        "fork tier, tiny": lambda: rate(path, tiny_fork, seconds),
        "rewind tier, the client wakes for each": lambda: rate(path, tiny, seconds, pause=0),
        f"rewind tier, {BACKLOG} waiting": lambda: rate_with_backlog(path, tiny, BACKLOG, seconds),
        "rewind tier, CRUXEval size": lambda: rate_of_many(path, sized, seconds),
        "fork tier, CRUXEval size": lambda: rate_of_many(path, in_forks(sized), seconds),
        "rewind tier, twice the size": lambda: rate_of_many(path, larger, seconds),
        "fork tier, twice the size": lambda: rate_of_many(path, in_forks(larger), seconds),
        "cases of CALL with ten": lambda: 10 * rate(path, TEN, seconds),
    }


def numpy_contest(path: str, seconds: float) -> Contest:
    numpy_fork = Job((*NUMPY.words, *FORK), NUMPY.value)
    return {
        "rewind tier, numpy": lambda: rate(path, NUMPY, seconds),
        "fork tier, numpy": lambda: rate(path, numpy_fork, seconds),
    }


def cruxeval_contest(path: str, file: Path, seconds: float) -> Contest:
    jobs = [program.job for program in from_cruxeval(file.read_text().splitlines())]
    return {
        "rewind tier, CRUXEval": lambda: rate_of_many(path, jobs, seconds),
        "fork tier, CRUXEval": lambda: rate_of_many(path, in_forks(jobs), seconds),
    }


def throughput(build: Path, options: argparse.Namespace) -> dict[str, float]:
    """Programs per second; and cases, of CALL with ten."""
    pools = ("--pools", "numpy=4:numpy", "--path", options.path) if options.path else ()
    with daemon(build, "--rewind", options.zygotes, *pools) as one:
        contest = contest_of(one.path, build, options)
        if pools:
            contest |= numpy_contest(one.path, options.seconds)
        if options.cruxeval:
            contest |= cruxeval_contest(one.path, options.cruxeval, options.seconds)
        figures = medians(contest, options.rounds)
        with one.connect() as client:
            counters = client.info("rewind")
    # Some may be hit by a kill that was for the last program of a client that has left.
    if counters["fell_back"] > 0.01 * counters["rewound_jobs"]:
        raise SystemExit(f"programs fell back: {counters}")
    return figures


def latency_of(build: Path, options: argparse.Namespace) -> dict[str, Any]:
    with daemon(build, "--rewind", options.zygotes) as one:
        return latency.latency(one.path, call(PROGRAM, ARGUMENT, VALUE), 4 * options.rounds)


def report(figures: dict[str, Any]) -> str:
    rates = figures["per_second"]
    rows: list[list[object]] = [["", "per second", "beside its fork"]]
    for name, figure in rates.items():
        fork = rates.get(name.replace("rewind tier", "fork tier"))
        ratio = f"{figure / fork:.1f}x" if fork and fork != figure else ""
        rows.append([name, f"{figure:,.0f}", ratio])
    lines = [f"{figures['machine']}", table(rows), latency.report(figures[LATENCY])]
    return "\n\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--zygotes", default="2", help="of the rewind tier")
    parser.add_argument("--path", default="", help="folders with numpy")
    parser.add_argument("--cruxeval", type=Path, help="its cruxeval.jsonl, to run these as well")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = {
        "machine": machine(options.build),
        "rewind_zygotes": int(options.zygotes),
        "per_second": throughput(options.build, options),
        LATENCY: latency_of(options.build, options),
    }
    print(report(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
