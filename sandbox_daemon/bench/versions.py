"""How fast the rewind tier of one version is beside another's, in one run.

Both daemons run all the while; in every round each measures what `rewind.py` does, right after the
other, who begins taking turns. The ratio of such a pair says more than two medians on a machine
whose speed changes from second to second.

usage: versions.py BEFORE AFTER [--rounds N] [--seconds S] [--path DIR:DIR] [--cruxeval FILE]
       [--json FILE]   (BEFORE and AFTER: builds with -DAZR_SANDBOXD_BENCH=ON)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
from pathlib import Path

from daemon_process import table
from rewind import contest_of, pools
from speed import daemon, machine

Pairs = list[tuple[float, float]]  # rates before and after


def measure(options: argparse.Namespace) -> dict[str, Pairs]:
    with contextlib.ExitStack() as stack:
        contests = []
        for build in (options.before, options.after):
            arguments = ("--rewind", options.zygotes, *pools(options.path))
            one = stack.enter_context(daemon(build, *arguments))
            contests.append(contest_of(one.path, build, options))
        names = [name for name in contests[0] if "fork" not in name]
        pairs: dict[str, Pairs] = {name: [] for name in names}
        for number in range(options.rounds):
            for name in names:
                first = number % 2
                rates = {turn: contests[turn][name]() for turn in (first, 1 - first)}
                pairs[name].append((rates[0], rates[1]))
    return pairs


def summary(pairs: Pairs) -> dict[str, float]:
    lower, middle, upper = statistics.quantiles([after / before for before, after in pairs])
    before, after = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratios = {"ratio": middle, "lower quartile": lower, "upper quartile": upper}
    return {"before": before, "after": after} | ratios


def report(figures: dict[str, dict[str, float]]) -> str:
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
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.4, help="of each rate's measurement")
    parser.add_argument("--zygotes", default="2", help="of the rewind tier")
    parser.add_argument("--path", default="", help="folders with numpy")
    parser.add_argument("--cruxeval", type=Path, help="its cruxeval.jsonl, to run these as well")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = {name: summary(pairs) for name, pairs in measure(options).items()}
    print(f"{machine(options.after)}\n\n{report(figures)}")
    if options.json:
        whole = {"machine": machine(options.after), "rounds": options.rounds, "per_second": figures}
        options.json.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
