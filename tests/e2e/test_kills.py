"""A trainer that is killed at any moment and resumed ends as one that was never killed, to the bit.

`AZR_KILLS=100 pytest -m slow tests/e2e/test_kills.py` kills as often as that.
"""

import os
import random
from dataclasses import replace

import pytest

from .runs import APART, assert_equal

PHASES = ("load", "seed", "play", "update", "sync", "checkpoint", "restore")


def moment_in(rng, straight, kind):
    """A random moment; durations are those of the run that nobody killed."""
    if kind == "time":
        return ["time", rng.uniform(0.0, straight["seconds"])]
    if kind == "write":
        return ["write", rng.randint(1, straight["writes"])]
    ends = [at for _, at in straight["phases"][1:]] + [straight["seconds"]]
    begun = zip(straight["phases"], ends, strict=True)
    lasted = [end - at for (name, at), end in begun if name == kind] or [0.05]
    which = 1 if kind in ("load", "seed", "restore") else rng.randint(1, 2)
    return ["phase", kind, which, rng.uniform(0.0, max(lasted))]


def kill(runs, straight, seed, kinds):
    """Kill a run, or one after the other where one ends before, at a moment of each kind; returns
    how often, and at what."""
    rng, killed, runs_made = random.Random(seed), [], 0
    name = f"killed-{seed}-0"
    for kind in kinds:
        moment = moment_in(rng, straight, kind)
        print(f"seed {seed}: {name} is killed at {moment}")  # pytest shows it with a failure
        if runs.finish(name, moment)["killed"]:
            killed.append(kind)
        else:
            assert_equal(runs.folder / name, runs.folder / "straight")
            runs_made += 1
            name = f"killed-{seed}-{runs_made}"
    runs.finish(name)
    assert_equal(runs.folder / name, runs.folder / "straight")
    return killed


def test_a_run_that_is_killed_in_each_phase_ends_as_one_that_was_not(runs, straight, seed):
    kinds = ["load", "seed", "play", "update", "checkpoint", "write", "restore", "sync", "write"]
    assert len(kill(runs, straight, seed, kinds)) >= 4


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thirty_kills_at_random_moments(runs, straight, seed):
    rng, asked, killed = random.Random(seed), int(os.environ.get("AZR_KILLS", "30")), []
    for more in range(1, 10 * asked):
        kinds = rng.choices([*PHASES, "time", "write", "write", "write"], k=10)
        killed += kill(runs, straight, seed + more, kinds[: asked - len(killed)])
        if len(killed) >= asked:
            break
    print(f"{len(killed)} kills: { {kind: killed.count(kind) for kind in sorted(set(killed))} }")
    assert len(killed) == asked


@pytest.mark.slow
@pytest.mark.parametrize("own", ["separate", "lora"])
def test_roles_apart_and_schedules_go_on_too(runs, seed, own):
    keys = APART | {"roles.proposer": own}
    apart = replace(runs, folder=runs.folder / f"apart-{own}", keys=keys)
    apart.folder.mkdir()
    straight = apart.finish("straight")
    kinds = random.Random(seed).choices(["play", "update", "sync", "write", "time"], k=8)
    assert kill(apart, straight, seed, kinds)
