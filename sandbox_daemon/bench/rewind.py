"""How fast the rewind tier is through the socket, beside the fork tier and bare loops, in one run.

Every rate is measured in rounds in which all contestants take their turn, and every answer is
checked. On a machine that others share the fastest round tells more of it than the median does. The
client, which shares the cores, looks for replies once a millisecond, but in one row. `--json FILE`
keeps the figures.

usage: rewind.py BUILD_FOLDER [--rounds N] [--seconds S] [--path DIR:DIR] [--cruxeval FILE]
       [--json FILE]   (a build with -DAZR_SANDBOXD_BENCH=ON; --path: where numpy is)
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

import latency
from daemon_process import Daemon, table
from load import BATCH, Job, call, rate, rate_of_many, rate_with_backlog
from peers import ARGUMENT, PROGRAM, VALUE, bare_fork
from sized_programs import from_cruxeval, of_cruxeval_size, of_twice_the_size
from speed import Contest, daemon, in_turn, machine

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


def in_fork(job: Job) -> Job:
    return Job((*job.words, *FORK), job.value)


def bare_rewind(executable: Path) -> float:
    words = [executable, "--processes", "2", "--count", "30000"]
    return float(subprocess.run(words, capture_output=True, check=True).stdout)


def on_both_tiers(path: str, name: str, jobs: list[Job], seconds: float) -> Contest:
    forked = [in_fork(job) for job in jobs]
    return {
        f"rewind tier, {name}": lambda: rate_of_many(path, jobs, seconds, BATCH),
        f"fork tier, {name}": lambda: rate_of_many(path, forked, seconds, BATCH),
    }


def contest_of(path: str, build: Path, options: argparse.Namespace) -> Contest:
    tiny, seconds = call(PROGRAM, ARGUMENT, VALUE), options.seconds
    contest: Contest = {
        "bare rewind loop": lambda: bare_rewind(build / "azr-bare-rewind"),
        "bare fork loop": bare_fork(build / "azr-bare-fork"),
        "rewind tier, tiny": lambda: rate(path, tiny, seconds, BATCH),
        "fork tier, tiny": lambda: rate(path, in_fork(tiny), seconds, BATCH),
        "rewind tier, the client wakes for each": lambda: rate(path, tiny, seconds),
        f"rewind tier, {BACKLOG} waiting": lambda: rate_with_backlog(
            path, tiny, BACKLOG, seconds, BATCH
        ),
        "cases of CALL with ten": lambda: 10 * rate(path, TEN, seconds, BATCH),
    }
    contest |= on_both_tiers(path, "CRUXEval size", of_cruxeval_size(400, seed=1), seconds)
    contest |= on_both_tiers(path, "twice the size", of_twice_the_size(400, seed=1), seconds)
    if options.path:
        contest |= on_both_tiers(path, "numpy", [NUMPY], seconds)
    if options.cruxeval:
        jobs = from_cruxeval(options.cruxeval.read_text().splitlines())
        contest |= on_both_tiers(path, "CRUXEval", jobs, seconds)
    return contest


def pools(path: str) -> tuple[str, ...]:
    return ("--pools", "numpy=4:numpy", "--path", path) if path else ()


def counters_of(one: Daemon, options: argparse.Namespace) -> dict[str, int]:
    """How many programs were rewound, and fell back."""
    with one.connect() as client:
        counters = client.info("rewind")
    # A kill that was for the last program of a client that has left may hit another. Of CRUXEval,
    # whoever gives the file sees how many fall back.
    others = counters["fell_back"] - counters.get("fell_back_signal", 0)
    if others > 0 and not options.cruxeval:
        raise SystemExit(f"programs fell back: {counters}")
    return {name: count for name, count in counters.items() if count}


def throughput(
    build: Path, options: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Programs (and cases) per second in each round; how many were rewound or fell back."""
    with daemon(build, "--rewind", options.zygotes, *pools(options.path)) as one:
        figures = in_turn(contest_of(one.path, build, options), options.rounds)
        return figures, counters_of(one, options)


def latency_of(build: Path, options: argparse.Namespace) -> dict[str, Any]:
    with daemon(build, "--rewind", options.zygotes) as one:
        return latency.at_half_load(one.path, call(PROGRAM, ARGUMENT, VALUE), 4 * options.rounds)


def report(figures: dict[str, Any]) -> str:
    rates = figures["per_second"]
    rows: list[list[object]] = [["per second", "median", "beside its fork", "fastest round"]]
    for name, figure in rates.items():
        fork = rates.get(name.replace("rewind tier", "fork tier"))
        ratio = f"{figure / fork:.1f}x" if fork and fork != figure else ""
        rows.append([name, f"{figure:,.0f}", ratio, f"{figures['fastest_round'][name]:,.0f}"])
    parts = [figures["machine"], table(rows), figures["counters"]]
    return "\n\n".join(map(str, [*parts, latency.report(figures["latency_at_half_load"])]))


def add_options(parser: argparse.ArgumentParser, *, rounds: int, seconds: float) -> None:
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seconds", type=float, default=seconds, help="of each measurement")
    parser.add_argument("--zygotes", default="2", help="of the rewind tier")
    parser.add_argument("--path", default="", help="folders with numpy")
    parser.add_argument("--cruxeval", type=Path, help="its cruxeval.jsonl, to run these as well")
    parser.add_argument("--json", type=Path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("build", type=Path)
    add_options(parser, rounds=5, seconds=2.0)
    options = parser.parse_args()
    rates, counters = throughput(options.build, options)
    figures = {
        "machine": machine(options.build),
        "rewind_zygotes": int(options.zygotes),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "per_second": {name: statistics.median(rounds) for name, rounds in rates.items()},
        "fastest_round": {name: max(rounds) for name, rounds in rates.items()},
        "counters": counters,
        "latency_at_half_load": latency_of(options.build, options),
    }
    print(report(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
