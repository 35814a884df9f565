"""What REPLICAS 2 certifies of programs that are not deterministic, beside plain CPython run twice.

    python benchmarks/nondeterminism.py --programs 500 --output results.json

Each program runs twice in a fresh `python3 -I`, and with REPLICAS 2 in every tier. Counted are
those whose two results agree: that a tier certifies and plain CPython does not must be none. What
a tier refuses ends in an error and certifies nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from nondeterministic_programs import programs

TIERS = ("rewind", "fork", "jail")
# With what the programs import, so that the rewind tier serves all that it can.
PRELOAD = (
    "array,contextlib,ctypes,datetime,os,random,resource,secrets,sys,tempfile,threading,time,uuid,"
    "weakref"
)
PLAIN = "import sys\nscope = {}\nexec(sys.argv[1], scope)\nprint(repr(scope['f']()))"
CERTIFIED, REJECTED, FAILED = "certified", "rejected", "failed"


def run_plain(program: str) -> str | None:
    """What it returns in an interpreter of its own; None where it fails."""
    command = [sys._base_executable, "-I", "-c", PLAIN, program]  # type: ignore[attr-defined]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def plain_verdict(program: str) -> str:
    first, second = run_plain(program), run_plain(program)
    if first is None or second is None:
        return FAILED
    return CERTIFIED if first == second else REJECTED


@contextlib.contextmanager
def daemon() -> Iterator[redis.Redis]:
    executable = os.environ.get("AZR_SANDBOXD", str(Path(sys.executable).with_name("azr-sandboxd")))
    options = ("--zygotes", "2", "--rewind", "2", "--jail", "2", "--preload", PRELOAD)
    with tempfile.TemporaryDirectory(prefix="azr") as folder:
        command = [executable, "--socket", f"{folder}/s", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready"), "it says why on stderr"
            yield redis.Redis(
                unix_socket_path=f"{folder}/s",
                protocol=3,
                decode_responses=True,
                socket_timeout=None,
            )
        finally:
            process.terminate()
            process.wait()


def tier_verdict(client: redis.Redis, program: str, tier: str) -> tuple[str, str]:
    """The verdict, and the tier that served it."""
    words = ("REPLICAS", 2, "TIER", tier, "TIMEOUT", 60_000)
    reply: Any = client.execute_command("CALL", program, "f", 1, "", *words)
    names = {"ok": CERTIFIED, "nondeterministic": REJECTED}
    return names.get(reply["results"][0]["verdict"], FAILED), reply["tier"]


def judge_all(count: int, seed: int) -> list[dict[str, Any]]:
    rows = []
    with daemon() as client:
        for family, program in programs(count, seed):
            tiers = {tier: tier_verdict(client, program, tier) for tier in TIERS}
            row = {tier: verdict for tier, (verdict, _) in tiers.items()}
            row |= {"family": family, "program": program, "served": tiers["rewind"][1]}
            rows.append(row | {"plain": plain_verdict(program)})
    return rows


def table(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By family and in all: how many each certified, and where a tier and plain CPython differ."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["family"]].append(row)
    groups["all"] = rows
    return {name: count_of(group) for name, group in groups.items()}


def count_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "programs": len(rows),
        "plain": dict(Counter(r["plain"] for r in rows)),
    }
    for tier in TIERS:
        pairs = Counter((row[tier], row["plain"]) for row in rows)
        counts[tier] = {
            "certified": sum(row[tier] == CERTIFIED for row in rows),
            "certified, by plain CPython not": pairs[CERTIFIED, REJECTED],
            "rejected, by plain CPython not": pairs[REJECTED, CERTIFIED],
            "refused": sum(row[tier] == FAILED for row in rows),
        }
    return counts


def report(counts: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield (
        "| family | programs | plain CPython certifies | "
        + " | ".join(f"{tier}: certifies / it alone / rejects alone / refuses" for tier in TIERS)
        + " |"
    )
    yield "|---" * (3 + len(TIERS)) + "|"
    for family, one in counts.items():
        tiers = " | ".join(" / ".join(map(str, one[tier].values())) for tier in TIERS)
        yield f"| {family} | {one['programs']} | {one['plain'].get(CERTIFIED, 0)} | {tiers} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--programs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    options = parser.parse_args()
    rows = judge_all(options.programs, options.seed)
    counts = table(rows)
    print("\n".join(report(counts)))
    odd = [r for r in rows if r["plain"] == REJECTED and CERTIFIED in (r[tier] for tier in TIERS)]
    for row in odd:
        print(json.dumps(row))
    if options.output:
        machine = {"python": platform.python_version(), "kernel": platform.release()}
        whole = {"machine": machine, "seed": options.seed, "counts": counts, "certified alone": odd}
        options.output.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
