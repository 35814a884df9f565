"""Time the verification of a step's proposals, in rewound processes and with a fork per program.

    python benchmarks/verification.py --proposals 400 --output results.json

Each proposal is a well-formed answer of a model: parsed, checked, and run twice over in
interpreters that hash differently, by as many threads as a run has. Rounds alternate; reported are
medians.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from azr_fast.config.schema import GameConfig, SandboxConfig
from azr_fast.games.azr import AzrGame
from azr_fast.sandbox.launcher import open_sandbox
from azr_fast.selfplay.types import Answer, Prompt, Role, Status

STEPS = (
    "x = sorted(x)",
    "x = [i * 2 for i in x if i % 3]",
    "x = [a + b for a, b in zip(x, x[1:])] or x",
    "x = list(dict.fromkeys(x))",
    "for i in range(len(x)):\n        x[i] = x[i - 1] - x[i]",
    "while len(x) > 6:\n        x.pop(len(x) // 2)",
)


def make_proposals(count: int) -> list[Answer]:
    """Valid ones, all different, of six to ten lines."""
    pick = random.Random(0)
    prompt = Prompt("deduction", Role.PROPOSER, ())
    answers = []
    for number in range(count):
        body = "\n    ".join(pick.choices(STEPS, k=pick.randint(3, 5)))
        program = f"def f(x):\n    {body}\n    return x, sum(x), {number}"
        argument = [pick.randint(0, 60) for _ in range(8)]
        text = f"```python\n{program}\n```\n```input\n{argument}\n```"
        answers.append(Answer((0,), prompt, (), (), (), text, False))
    return answers


def seconds(game: AzrGame, proposals: list[Answer], threads: int) -> float:
    """Of one round; every proposal must be found valid."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        judgements = list(pool.map(game.gate, proposals))
    taken = time.perf_counter() - begin
    assert all(judgement.status is Status.PASSED for judgement in judgements)
    return taken


def measure(games: dict[str, AzrGame], run: Callable[[AzrGame], float], rounds: int) -> Any:
    for game in games.values():
        run(game)
        game.verification()
    times: dict[str, list[float]] = {name: [] for name in games}
    for _ in range(rounds):
        for name, game in games.items():
            times[name].append(run(game))
    return {
        name: {"seconds": statistics.median(times[name])} | dict(games[name].verification())
        for name in games
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--proposals", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    arguments = parser.parse_args()
    proposals = make_proposals(arguments.proposals)
    with ExitStack() as stack:
        games, threads = {}, SandboxConfig().threads
        for name, rewind in (("forked", False), ("rewound", True)):
            client = stack.enter_context(open_sandbox(SandboxConfig(rewind=rewind)))
            games[name] = AzrGame(GameConfig(), client)
        figures = measure(games, lambda game: seconds(game, proposals, threads), arguments.rounds)
    figures["proposals"] = arguments.proposals
    figures["speedup"] = figures["forked"]["seconds"] / figures["rewound"]["seconds"]
    print(json.dumps(figures, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
