"""How fast the rewind tier is through the socket, beside the fork tier and bare loops, in one run.

Every figure is a median over rounds in which all contestants take their turn, and every answer is
checked. The client shares the cores. `--json FILE` keeps the figures.

usage: rewind.py BUILD_FOLDER [--rounds N] [--seconds S] [--path DIR:DIR] [--json FILE]
       (a build with -DAZR_SANDBOXD_BENCH=ON; --path: where numpy is)
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from daemon_process import table
from load import Job, call, latencies, rate, rate_of_many, rate_with_backlog
from peers import ARGUMENT, PROGRAM, VALUE, bare_fork
from speed import Contest, daemon, machine, medians

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
WITH_NUMPY = ("rewind tier, numpy", "fork tier, numpy")
# Of programs as CRUXEval's are: some lines over a list or a text, 180 bytes in the middle.
STEPS = (
    "  x = sorted(x)\n",
    "  x = [i * 2 for i in x if i % 3]\n",
    "  counts = {}\n  for i in x:\n    counts[i % 5] = counts.get(i % 5, 0) + 1\n",
    "  x = [a + b for a, b in zip(x, x[1:])] or x\n",
    "  text = ''.join(chr(97 + i % 26) for i in x)\n  x = [ord(c) - 90 for c in text.upper()]\n",
    "  while len(x) > 6:\n    x.pop(len(x) // 2)\n",
    "  x = [i for i in dict.fromkeys(x) if i not in (3, 7)]\n",
    "  for i in range(len(x)):\n    x[i] = x[i - 1] - x[i]\n",
    "  words = ' '.join(str(i) for i in x).split()\n  x = [len(w) * int(w) for w in words]\n",
)


def programs(count: int, seed: int) -> list[Job]:
    """Different ones of CRUXEval's size, with the values that this interpreter computes."""
    pick = random.Random(seed)
    jobs = []
    for _ in range(count):
        body = "".join(pick.choices(STEPS, k=pick.randint(2, 3)))
        source = f"def f(x):\n{body}  return x, sum(x), len(x)"
        argument = [pick.randint(0, 60) for _ in range(pick.randint(3, 12))]
        names: dict[str, Any] = {}
        exec(source, names)
        jobs.append(call(source, repr(argument), repr(names["f"](list(argument)))))
    return jobs


def in_forks(jobs: list[Job]) -> list[Job]:
    return [Job((*job.words, *FORK), job.value) for job in jobs]


def bare_rewind(executable: Path) -> float:
    words = [executable, "--processes", "2", "--count", "30000"]
    return float(subprocess.run(words, capture_output=True, check=True).stdout)


def throughput(build: Path, options: argparse.Namespace) -> dict[str, float]:
    """Programs per second; and cases, of CALL with ten."""
    sized, seconds = programs(400, seed=1), options.seconds
    pools = ("--pools", "numpy=4:numpy", "--path", options.path) if options.path else ()
    with daemon(build, "--rewind", options.zygotes, *pools) as one:
        tiny, tiny_fork = call(PROGRAM, ARGUMENT, VALUE), call(PROGRAM, ARGUMENT, VALUE, *FORK)
        contest: Contest = {
            "bare rewind loop": lambda: bare_rewind(build / "azr-bare-rewind"),
            "bare fork loop": bare_fork(build / "azr-bare-fork"),
            "rewind tier, tiny": lambda: rate(one.path, tiny, seconds),
            "fork tier, tiny": lambda: rate(one.path, tiny_fork, seconds),
            f"rewind tier, {BACKLOG} waiting": lambda: rate_with_backlog(
                one.path, tiny, BACKLOG, seconds
            ),
            "rewind tier, CRUXEval size": lambda: rate_of_many(one.path, sized, seconds),
            "fork tier, CRUXEval size": lambda: rate_of_many(one.path, in_forks(sized), seconds),
            "cases of CALL with ten": lambda: 10 * rate(one.path, TEN, seconds),
        }
        if pools:
            numpy_fork = Job((*NUMPY.words, *FORK), NUMPY.value)
            contest |= {
                WITH_NUMPY[0]: lambda: rate(one.path, NUMPY, seconds),
                WITH_NUMPY[1]: lambda: rate(one.path, numpy_fork, seconds),
            }
        figures = medians(contest, options.rounds)
        with one.connect() as client:
            counters = client.info("rewind")
    # One may be hit by a kill that was for the last program of a client that has left.
    if counters["fell_back"] > 1e-5 * counters["rewound_jobs"]:
        raise SystemExit(f"programs fell back: {counters}")
    return figures


def latency(build: Path, half: float, options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds from a request's due time to its reply, at half of the full rate."""
    with daemon(build, "--rewind", options.zygotes) as one:
        tiny = call(PROGRAM, ARGUMENT, VALUE)
        rate(one.path, tiny, 0.5)
        time.sleep(0.5)  # what it left running is killed, and another process made
        taken = sorted(latencies(one.path, tiny, half, 4 * options.seconds))
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    return {name: 1000 * taken[int(share * (len(taken) - 1))] for name, share in at.items()}


def report(figures: dict[str, Any]) -> str:
    rates = figures["per_second"]
    rows: list[list[object]] = [["", "per second", "beside its fork"]]
    for name, figure in rates.items():
        fork = rates.get(name.replace("rewind tier", "fork tier"))
        ratio = f"{figure / fork:.1f}x" if fork and fork != figure else ""
        rows.append([name, f"{figure:,.0f}", ratio])
    waits = ", ".join(f"{k} {v:.2f} ms" for k, v in figures["latency_ms_at_half_load"].items())
    lines = [f"{figures['machine']}", table(rows), f"latency at half load: {waits}"]
    return "\n\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--zygotes", default="2", help="of the rewind tier")
    parser.add_argument("--path", default="", help="folders with numpy")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rates = throughput(options.build, options)
    figures = {
        "machine": machine(options.build),
        "rewind_zygotes": int(options.zygotes),
        "program_bytes": statistics.median(len(job.words[1]) for job in programs(400, seed=1)),
        "per_second": rates,
        "latency_ms_at_half_load": latency(options.build, rates["rewind tier, tiny"] / 2, options),
    }
    print(report(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
