"""How fast each tier of one version is beside that of another version, in one run.

Both daemons run all the while; in every round each measures what `rewind.py` does, and a jail,
right after the other, who begins taking turns. The ratio of such a pair says more than two medians
on a machine whose speed changes from second to second.

usage: versions.py BEFORE AFTER [--rounds N] [--seconds S] [--path DIR:DIR] [--cruxeval FILE]
       [--json FILE]   (BEFORE and AFTER: builds with -DAZR_SANDBOXD_BENCH=ON)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from pathlib import Path
from typing import Any

from daemon_process import table
from load import BATCH, rate
from rewind import add_options, contest_of, counters_of, pools
from speed import JAILED, Contest, daemon, machine

# Seconds after each measurement: jobs that its client left are killed, and their process is made
# anew.
PAUSE = 0.3

Pairs = list[tuple[float, float]]  # rates before and after


def in_pairs(before: Contest, after: Contest, rounds: int) -> dict[str, Pairs]:
    pairs: dict[str, Pairs] = {name: [] for name in before}
    for number in range(rounds):
        first = number % 2
        for name in pairs:
            rates = [0.0, 0.0]
            for turn in (first, 1 - first):
                rates[turn] = (before, after)[turn][name]()
                time.sleep(PAUSE)
            pairs[name].append((rates[0], rates[1]))
    return pairs


def of_every_tier(path: str, build: Path, options: argparse.Namespace) -> Contest:
    """The bare loops are left out: they are no part of a daemon."""
    contest = contest_of(path, build, options)
    through_the_daemon = {name: measure for name, measure in contest.items() if "bare" not in name}
    jail = {"jail tier, tiny": lambda: rate(path, JAILED, options.seconds, BATCH)}
    return through_the_daemon | jail


def measure(options: argparse.Namespace) -> dict[str, Pairs]:
    with contextlib.ExitStack() as stack:
        daemons, contests = [], []
        for build in (options.before, options.after):
            tiers = ("--rewind", options.zygotes, "--jail", options.zygotes)
            one = stack.enter_context(daemon(build, *tiers, *pools(options.path)))
            contests.append(of_every_tier(one.path, build, options))
            daemons.append(one)
        pairs = in_pairs(*contests, options.rounds)
        for one in daemons:
            counters_of(one, options)
    return pairs


def summary(pairs: Pairs) -> dict[str, Any]:
    lower, middle, upper = statistics.quantiles([after / before for before, after in pairs])
    before, after = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratios = {"ratio": middle, "lower quartile": lower, "upper quartile": upper}
    return {"before": before, "after": after} | ratios | {"pairs": pairs}


def report(figures: dict[str, dict[str, Any]]) -> str:
    rows: list[list[object]] = [["per second", "before", "after", "ratio", "half of the rounds"]]
    for name, one in figures.items():
        half = f"{one['lower quartile']:.2f} to {one['upper quartile']:.2f}"
        rates = [f"{one[which]:,.0f}" for which in ("before", "after")]
        rows.append([name, *rates, f"{one['ratio']:.2f}", half])
    return str(table(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    add_options(parser, rounds=20, seconds=0.4)
    options = parser.parse_args()
    if options.rounds < 2 or options.rounds % 2:
        parser.error("--rounds: each begins as often as the other: give an even number")
    here = machine(options.before)
    if machine(options.after) != here:
        parser.error("the two are built for different Pythons: choose one with Python_EXECUTABLE")
    figures = {name: summary(pairs) for name, pairs in measure(options).items()}
    print(f"{here}\n\n{report(figures)}")
    if options.json:
        whole = {"machine": here, "rounds": options.rounds, "seconds": options.seconds}
        options.json.write_text(json.dumps(whole | {"per_second": figures}) + "\n")


if __name__ == "__main__":
    main()
