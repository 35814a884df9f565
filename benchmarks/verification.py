"""Time the verification of a step's proposals, in rewound processes and with a fork per program.

    python benchmarks/verification.py --proposals 400 --output results.json

Each proposal is a well-formed answer of a model: parsed, checked, and run twice over in
interpreters that hash differently, all at once as in a run. Rounds alternate; reported are
medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azr_fast.config.schema import SandboxConfig
from azr_fast.games.azr.config import AzrConfig
from azr_fast.games.azr.game import AzrGame, open_azr
from azr_fast.sandbox.client import AsyncClient
from azr_fast.sandbox.launcher import open_sandbox
from azr_fast.types import Message, Sampling, Source

STEPS = (
    "x = sorted(x)",
    "x = [i * 2 for i in x if i % 3]",
    "x = [a + b for a, b in zip(x, x[1:])] or x",
    "x = list(dict.fromkeys(x))",
    "for i in range(len(x)):\n        x[i] = x[i - 1] - x[i]",
    "while len(x) > 6:\n        x.pop(len(x) // 2)",
)


@dataclass(frozen=True, slots=True)
class Said:
    """A chat in which the model says one text."""

    text: str
    sampling: Sampling
    truncated: bool = False

    async def say(
        self, *messages: Message, prefill: str = "", sampling: Sampling | None = None
    ) -> str:
        """The text, whatever was asked."""
        return self.text


def make_proposals(count: int) -> list[Said]:
    """Valid ones, all different, of six to ten lines."""
    pick = random.Random(0)
    proposals = []
    for number in range(count):
        body = "\n    ".join(pick.choices(STEPS, k=pick.randint(3, 5)))
        program = f"def f(x):\n    {body}\n    return x, sum(x), {number}"
        argument = [pick.randint(0, 60) for _ in range(8)]
        text = f"```python\n{program}\n```\n```input\n{argument}\n```"
        proposals.append(Said(text, Sampling(128)))
    return proposals


async def seconds(game: AzrGame, proposals: Sequence[Said]) -> float:
    """Of one round; every proposal must be found valid."""
    begin = time.perf_counter()
    source = Source("deduction")
    verdicts = await asyncio.gather(*(game.propose(source, said) for said in proposals))
    taken = time.perf_counter() - begin
    assert all(verdict.task for verdict in verdicts)
    return taken


def measure(games: dict[str, AzrGame], proposals: Sequence[Said], rounds: int) -> Any:
    times: dict[str, list[float]] = {name: [] for name in games}
    with asyncio.Runner() as runner:
        for game in games.values():
            runner.run(seconds(game, proposals))
            game.verification()
        for _ in range(rounds):
            for name, game in games.items():
                times[name].append(runner.run(seconds(game, proposals)))
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
        games = {}
        for name, rewind in (("forked", False), ("rewound", True)):
            config = AzrConfig(sandbox=SandboxConfig(rewind=rewind))
            client = stack.enter_context(open_sandbox(config.sandbox))
            programs = AsyncClient(client.path, client.limits, config.sandbox.connections)
            games[name] = open_azr(config, client, programs)
        figures = measure(games, proposals, arguments.rounds)
    figures["proposals"] = arguments.proposals
    figures["speedup"] = figures["forked"]["seconds"] / figures["rewound"]["seconds"]
    print(json.dumps(figures, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
