"""Time the parts of a training step on a quiet machine and beside busy processes.

    python benchmarks/busy_neighbour.py --output benchmarks/results/busy_neighbour.json

A child process per setting of the environment holds vLLM and the policy over SmolLM2-135M, as a
training process does. In each round every child in turn samples answers and makes one update,
without neighbours and beside one and two processes that compute without end. The neighbours have
sessions of their own, like work in another terminal: with autogroups, Linux shares a core between
sessions first and then between threads. Reported are medians over rounds, and ratios to the quiet
machine.

The quiet rows need a machine without other work. `other_cpus` is what ran beside each measurement
and was not started here, in cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ANSWERS = 64
PROMPTS, PROMPT_TOKENS = 3, 300
PARTS = ("rollouts", "update")
# Each is what its child finds in its environment. libgomp spins 300,000 times where nothing is set.
SETTINGS = {"before": "GOMP_SPINCOUNT=300000", "after": ""}
BUSY = "while True: pass"


class Child:
    """A process that holds an engine and a policy and does the parts it is asked for."""

    def __init__(self, environment: str, options: argparse.Namespace) -> None:
        variables = dict(item.split("=", 1) for item in environment.split(",") if item)
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--child", *shape_words(options)],
            env=os.environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n", "a child could not start"

    def measure(self, part: str) -> dict[str, float]:
        """What `timed` says of one go at `part`."""
        assert self._process.stdin
        assert self._process.stdout
        print(part, file=self._process.stdin, flush=True)
        times: dict[str, float] = json.loads(self._process.stdout.readline())
        return times

    def close(self) -> None:
        """Let it end, and wait until it has."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def shape_words(options: argparse.Namespace) -> list[str]:
    """The options that say what a child computes."""
    return ["--answer-tokens", str(options.answer_tokens), "--dtype", options.dtype]


@contextmanager
def neighbours(count: int) -> Iterator[list[int]]:
    """`count` processes that compute until the block ends; gives their ids."""
    busy = [
        subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True) for _ in range(count)
    ]
    try:
        yield [process.pid for process in busy]
    finally:
        for process in busy:
            process.kill()
            process.wait()


def cpu_seconds() -> float:
    """CPU time of all processes since the machine started."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = (
        int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_of(pids: Sequence[int]) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")


def measure(child: Child, part: str, busy: Sequence[int]) -> dict[str, float]:
    """Seconds of one go, and how much of the machine went to work not started here."""
    ours, begin = cpu_seconds_of(busy), cpu_seconds()
    times = child.measure(part)
    others = cpu_seconds() - begin - times["cpu"] - (cpu_seconds_of(busy) - ours)
    return times | {"other_cpus": others / times["seconds"]}


def run_rounds(
    children: Mapping[str, Child], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """One row per round, number of neighbours, child and part."""
    rows = []
    for number in range(arguments.rounds):
        for count in arguments.neighbours:
            with neighbours(count) as busy:
                for name, child in children.items():
                    for part in PARTS:
                        row = {"round": number, "neighbours": count, "setting": name, "part": part}
                        rows.append(row | measure(child, part, busy))
                        print(json.dumps(rows[-1]), flush=True)
    return rows


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By setting and number of neighbours: median seconds of each part and of both, and over the
    seconds of the same setting on a quiet machine."""
    counts = sorted({row["neighbours"] for row in rows})
    table: dict[str, Any] = {}
    for setting in dict.fromkeys(row["setting"] for row in rows):
        seconds = {count: medians(rows, setting, count) for count in counts}
        table[setting] = {
            f"{count} neighbours": {
                "seconds": seconds[count],
                "over_quiet": {
                    p: seconds[count][p] / seconds[counts[0]][p] for p in seconds[count]
                },
            }
            for count in counts
        }
    return table


def medians(rows: Sequence[Mapping[str, Any]], setting: str, count: int) -> dict[str, float]:
    of_part = {
        part: statistics.median(
            row["seconds"]
            for row in rows
            if (row["setting"], row["neighbours"], row["part"]) == (setting, count, part)
        )
        for part in PARTS
    }
    return of_part | {"step": sum(of_part.values())}


def parts(options: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """What a child does when asked, over a model and an engine that are loaded here."""
    from azr_fast.config.schema import ModelConfig, RolloutConfig, UpdateConfig
    from azr_fast.policy.models import resolve_model
    from azr_fast.policy.packing import TrainSequence
    from azr_fast.policy.policy import Policy
    from azr_fast.rollout.engine import Request
    from azr_fast.rollout.stops import Stops
    from azr_fast.rollout.vllm_engine import VllmEngine
    from azr_fast.types import Sampling

    rng = random.Random(0)
    prompts = [tuple(rng.choices(range(1000, 49000), k=PROMPT_TOKENS)) for _ in range(PROMPTS)]
    lengths = [
        rng.randint(options.answer_tokens // 2, options.answer_tokens) for _ in range(ANSWERS)
    ]
    files, model = resolve_model("smollm2-135m"), ModelConfig(device="cpu", dtype=options.dtype)
    config = RolloutConfig(max_prompt_tokens=512, max_new_tokens=128, concurrency=64, cache_gib=1.0)
    engine = VllmEngine(
        config, files, Stops(frozenset(), str), model, 0
    )  # no end tokens: lengths are given
    policy = Policy(files, model, UpdateConfig(lr=1e-6, pack_tokens=3072), 1.0)
    requests = [
        Request((index,), prompts[index % PROMPTS], index, Sampling(length))
        for index, length in enumerate(lengths)
    ]
    batch = [
        TrainSequence(
            prompts[index % PROMPTS],
            tuple(rng.choices(range(1000, 49000), k=length)),
            rng.choice((-1.0, 1.0)),
            1e-3,
            None,
        )
        for index, length in enumerate(lengths)
    ]

    def rollouts() -> None:
        for request in requests:
            engine.submit(request)
        left = len(requests)
        while left:
            left -= len(engine.poll())

    return {"rollouts": rollouts, "update": lambda: policy.update(batch) and None}


def serve(options: argparse.Namespace) -> None:
    """Be a child: do the part that a line of stdin names, answer with its seconds."""
    from azr_fast.threads import set_environment

    set_environment()
    answers = os.fdopen(os.dup(1), "w")
    with contextlib.redirect_stdout(sys.stderr):
        run = parts(options)
        for do in run.values():
            do()  # the first go warms up and does not count
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(timed(run[line.strip()])), file=answers, flush=True)


def timed(do: Callable[[], None]) -> dict[str, float]:
    """Wall-clock and CPU seconds, and how often a thread of this process went to sleep."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    do()
    seconds, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu": cpu, "sleeps": after.ru_nvcsw - before.ru_nvcsw}


def compare(arguments: argparse.Namespace) -> None:
    settings = dict(s.split(":", 1) for s in arguments.setting) if arguments.setting else SETTINGS
    with ExitStack() as stack:
        children = {
            name: stack.enter_context(contextlib.closing(Child(environment, arguments)))
            for name, environment in settings.items()
        }
        rows = run_rounds(children, arguments)
    result = {"cores": len(os.sched_getaffinity(0)), "settings": settings, "medians": summary(rows)}
    print(json.dumps(result, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(result | {"rows": rows}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--neighbours", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--answer-tokens", type=int, default=40, help="of the longest answer")
    parser.add_argument(
        "--dtype",
        choices=["bfloat16", "float32"],
        default="bfloat16",
        help="float32 is faster on a processor without AVX-512",
    )
    parser.add_argument(
        "--setting",
        action="append",
        metavar="NAME:VARIABLE=VALUE,...",
        help="in place of 'before' and 'after'; may be repeated",
    )
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        serve(arguments)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
