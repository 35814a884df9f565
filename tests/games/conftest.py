"""The game against the real daemon. It is found as the launcher finds it; without it tests fail."""

import asyncio
import random
from types import SimpleNamespace

import pytest

from azr_fast.config.schema import SandboxConfig
from azr_fast.games.azr.config import GameConfig, IntrinsicConfig, RewardConfig
from azr_fast.games.azr.game import AzrGame
from azr_fast.games.azr.programs import inspect
from azr_fast.games.azr.tasks import identity, induction, triplet
from azr_fast.sandbox.client import AsyncClient
from azr_fast.sandbox.launcher import open_sandbox
from azr_fast.sandbox.usage import Usage
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.types import Sampling, Source

PAIRS = 4


class ScriptedChat:
    """A `Chat` in which the model says one text, whatever it is told; `messages` and `prefill` are
    what it was told."""

    sampling = Sampling(128)

    def __init__(self, text="", truncated=False):
        self._text, self.truncated = text, truncated
        self.messages, self.prefill = (), ""

    async def say(self, *messages, prefill="", sampling=None):
        self.messages, self.prefill = messages, prefill
        return self._text

    def told(self):
        return "\n".join(message.content for message in self.messages) + self.prefill


class Player:
    """A game against the real daemon, and an event loop to play it in."""

    def __init__(self, game, runner):
        self.game, self.runner = game, runner

    def propose(self, source, text, truncated=False):
        return self.runner.run(self.game.propose(source, ScriptedChat(text, truncated)))

    def solve(self, task, text, truncated=False):
        return self.runner.run(self.game.solve(task, ScriptedChat(text, truncated)))

    def proposal_prompt(self, source):
        chat = ScriptedChat()
        self.runner.run(self.game.propose(source, chat))
        return chat

    def solve_prompt(self, task):
        chat = ScriptedChat()
        self.runner.run(self.game.solve(task, chat))
        return chat


@pytest.fixture(scope="session")
def client():
    with open_sandbox(SandboxConfig(timeout_ms=5000)) as running:
        yield running


@pytest.fixture(scope="session")
def make_player(client):
    """A game with these keys of its config."""
    with asyncio.Runner() as runner:
        programs = AsyncClient(client.path, client.limits)

        def make(reward=None, intrinsic=None, **keys):
            rewards, beside = RewardConfig(**reward or {}), IntrinsicConfig(**intrinsic or {})
            game = AzrGame(GameConfig(**keys), rewards, programs, Usage(client), beside)
            return Player(game, runner)

        yield make
        runner.run(programs.close())


@pytest.fixture(scope="session")
def player(make_player):
    return make_player(pairs=PAIRS)


def triplet_of(kind, program, arguments, output):
    return triplet(kind, inspect(program, (), 4000), arguments, output)


def induction_of(program, pairs, message="a hint"):
    return induction(triplet_of("deduction", program, *pairs[0]), pairs, message)


def blocks(**parts):
    """An answer text: one fenced block for each part, in the order given."""
    return "\n".join(f"```{label.rstrip('_')}\n{text}\n```" for label, text in parts.items())


@pytest.fixture(scope="session")
def play(player):
    """`propose` and `solve` judge a text; the makers of tasks and texts ride along."""

    def propose(text, kind="deduction", about=None, truncated=False):
        references = (about or identity("deduction"),) if kind == "induction" else ()
        return player.propose(Source(kind, references), text, truncated)

    return SimpleNamespace(
        propose=propose,
        solve=player.solve,
        triplet=triplet_of,
        induction=induction_of,
        blocks=blocks,
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
