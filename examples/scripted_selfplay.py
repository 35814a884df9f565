"""Self-play without a model: what a language model would say is written down here.

The rules, the checks, the sandbox and the rewards are the real ones. Run it to see a step:

    python examples/scripted_selfplay.py
"""

import asyncio
import random

from azr_fast.config.games import game_of
from azr_fast.config.load import load_config
from azr_fast.sandbox.client import AsyncClient
from azr_fast.sandbox.launcher import open_sandbox
from azr_fast.types import Episode, Family, Role, Sampling, Stop

# Three proposals of deduction tasks. The form of the `cpu` preset opens the answer itself, with
# "```input", so each begins with the input of the program that it goes on with.
PROPOSALS = [
    "[3, 1, 2]\n```\n```python\ndef f(xs):\n    return sorted(xs)\n```",
    "'azr'\n```\n```python\ndef f(text):\n    return text[::-1]\n```",
    "5\n```\n```python\nimport os\ndef f(n):\n    return os.getpid() + n\n```",
]
# Four solutions of each task that passes the checks: the first is sorted right twice.
SOLUTIONS = {
    "sorted": ["[1, 2, 3]\n```", "[3, 2, 1]\n```", "[1, 2, 3]\n```", "no idea"],
    "[::-1]": ["'rza'\n```"] * 4,
}


class ScriptedChat:
    """A conversation whose next turn of the model is known (the protocol `games.game.Chat`)."""

    sampling = Sampling(max_tokens=128)
    truncated = False
    stop = Stop.END
    takes_messages = True

    def __init__(self, turn):
        self.turn = turn

    async def say(self, *messages, prefill="", sampling=None):
        return prefill + self.turn


async def family(game, source, number):
    """A proposal, and the solutions that price it."""
    proposal = Episode((number,), Role.PROPOSER, source.kind, source=source)
    proposal.verdict = await game.propose(source, ScriptedChat(PROPOSALS[number]))
    made = Family(proposal)
    if task := made.task:
        name = next(name for name in SOLUTIONS if name in task.payload["program"])
        for i, turn in enumerate(SOLUTIONS[name]):
            solve = Episode((number, i), Role.SOLVER, task.kind, task=task)
            solve.verdict = await game.solve(task, ScriptedChat(turn))
            made.solves.append(solve)
        proposal.facts = {"new": True, "accuracy": made.solve_rate}
    return made


async def step(config, client):
    """One step: every family at once, then the rewards."""
    programs = AsyncClient(client.path, client.limits)
    try:
        game = game_of(config).open(config, client, programs)
        first = game.first_tasks()[0]
        sources = game.sources("deduction", len(PROPOSALS), Known([first]), random.Random(0))
        families = await asyncio.gather(
            *(family(game, source, i) for i, source in enumerate(sources))
        )
        game.score(families)
        return families
    finally:
        await programs.close()


class Known:
    """Tasks that were posed before; proposals are shown some of them."""

    step = 1  # that is being played

    def __init__(self, tasks):
        self.tasks = tasks

    def draw(self, kinds, count, rng):
        return [task for task in self.tasks if task.kind in kinds][:count]


def main():
    config = load_config("cpu")
    with open_sandbox(config.sandbox) as client:
        families = asyncio.run(step(config, client))
    for one in families:
        verdict = one.proposal.verdict
        print(f"proposal {one.proposal.id[0]}: {verdict.status} ({verdict.code}), ", end="")
        print(f"solved {one.solve_rate:.0%}, reward {one.proposal.reward:+.2f}")
        for solve in one.solves:
            print(f"  solution: {solve.verdict.status}, reward {solve.reward:+.2f}")


if __name__ == "__main__":
    main()
