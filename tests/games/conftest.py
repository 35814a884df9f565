"""The game against the real daemon. It is found as the launcher finds it; without it tests fail."""

import random
from types import SimpleNamespace

import pytest

from azr_fast.config.schema import GameConfig, SandboxConfig
from azr_fast.games.azr import AzrGame
from azr_fast.games.azr.programs import inspect
from azr_fast.games.azr.tasks import identity, induction, triplet
from azr_fast.sandbox.launcher import open_sandbox
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.types import Answer, Prompt, Role

PAIRS = 4


@pytest.fixture(scope="session")
def client():
    with open_sandbox(SandboxConfig(timeout_ms=5000)) as running:
        yield running


@pytest.fixture(scope="session")
def game(client):
    return AzrGame(GameConfig(pairs=PAIRS), client)


def triplet_of(kind, program, arguments, output):
    return triplet(kind, inspect(program, (), 4000), arguments, output)


def induction_of(program, pairs, message="a hint"):
    return induction(triplet_of("deduction", program, *pairs[0]), pairs, message)


def blocks(**parts):
    """An answer text: one fenced block for each part, in the order given."""
    return "\n".join(f"```{label.rstrip('_')}\n{text}\n```" for label, text in parts.items())


def answer(prompt, text, truncated=False):
    return Answer((0,), prompt, (), (), (), text, truncated)


@pytest.fixture(scope="session")
def play(game):
    """`propose` and `solve` judge a text; the makers of tasks and texts ride along."""

    def propose(text, kind="deduction", about=None, truncated=False):
        references = (about or identity("deduction"),) if kind == "induction" else ()
        prompt = Prompt(kind, Role.PROPOSER, (), references=references)
        return game.gate(answer(prompt, text, truncated))

    def solve(task, text, truncated=False):
        return game.grade(answer(game.solve_prompt(task), text, truncated))

    return SimpleNamespace(
        propose=propose,
        solve=solve,
        triplet=triplet_of,
        induction=induction_of,
        blocks=blocks,
        answer=answer,
        pairs=PAIRS,
    )


@pytest.fixture
def buffer():
    buffer = TaskBuffer(":memory:", capacity=1000)
    yield buffer
    buffer.close()


@pytest.fixture
def rng():
    return random.Random(0)
