"""Agent0 against the real sandbox. What the model says is scripted."""

import asyncio

import pytest

from azr_fast.config.load import load_config
from azr_fast.config.schema import SandboxConfig
from azr_fast.errors import ContextFull
from azr_fast.games.agent0.config import Agent0Config
from azr_fast.games.agent0.game import open_agent0
from azr_fast.sandbox.client import AsyncClient
from azr_fast.sandbox.launcher import open_sandbox
from azr_fast.types import (
    Episode,
    Family,
    Role,
    Sampling,
    Source,
    Status,
    Stop,
    Task,
    Verdict,
)

SANDBOX = SandboxConfig(timeout_ms=2000, output_kib=64, imports=("numpy", "sympy"))


class ScriptedChat:
    """A `Chat` in which the model says one text after the other. As engines do, it stops a text at
    a stop string, and drops the rest. A text that ends in `CUT` was cut off."""

    CUT = "…"
    sampling = Sampling(100)

    def __init__(self, *texts, takes_messages=True, room=10):
        self._texts = list(texts)
        self.takes_messages = takes_messages
        self.turns = room  # further ones are over the limit of the prompt
        self.stop = Stop.END
        self.told = []  # messages and what was put into turns, in order
        self.asked = []  # the sampling of each turn
        self._turn = ""

    @property
    def truncated(self):
        return self.stop is Stop.LENGTH

    async def say(self, *messages, prefill="", sampling=None):
        self.told += [message.content for message in messages]
        self._turn = prefill
        return self._sample(sampling)

    async def resume(self, text, *, sampling=None):
        assert self.stop is not Stop.END
        self.told.append(text)
        self._turn += text
        return self._sample(sampling)

    def _sample(self, sampling):
        if not self.turns:
            raise ContextFull
        self.turns -= 1
        sampling = sampling or self.sampling
        self.asked.append(sampling)
        text = self._texts.pop(0)
        ends = [text.index(stop) + len(stop) for stop in sampling.stop if stop in text]
        self.stop = Stop.STRING if ends else Stop.LENGTH if text.endswith(self.CUT) else Stop.END
        self._turn += text[: min(ends)] if ends else text
        return self._turn


class Table:
    """A game against the real daemon, and an event loop to play it in."""

    def __init__(self, game, runner):
        self.game, self._runner = game, runner

    def propose(self, *texts, seed=0):
        chat = ScriptedChat(*texts)
        return self._runner.run(self.game.propose(Source("question", (), seed), chat))

    def solve(self, *texts, task=None, chat=None):
        chat = chat or ScriptedChat(*texts)
        return self._runner.run(self.game.solve(task or question(), chat))


@pytest.fixture(scope="session")
def client():
    with open_sandbox(SANDBOX) as running:
        yield running


@pytest.fixture(scope="session")
def table(client):
    """A game with these keys of its sections `game` and `reward`."""
    with asyncio.Runner() as runner:
        programs = AsyncClient(client.path, client.limits)

        def lay(**keys):
            dotted = {name.replace("__", "."): value for name, value in keys.items()}
            config = load_config("agent0-cpu", {"game.programs": False} | dotted)
            assert isinstance(config, Agent0Config)
            return Table(open_agent0(config, client, programs), runner)

        yield lay
        runner.run(programs.close())


def question(text="What is 6 times 7?", answer=None, truth=None, key="q", rate=None):
    payload = {"question": text, "setter": "42", "truth": truth}
    return Task("question", key, payload | ({"answer": answer} if answer else {}), rate=rate)


def solved(task, answer, calls=0, place=0):
    """An episode that gave this answer; None is no answer."""
    status = Status.MALFORMED if answer is None else Status.PASSED
    verdict = Verdict(status, "answered", answer=answer, facts={"calls": calls, "call_errors": 0})
    return Episode((0, place), Role.SOLVER, "question", task=task, verdict=verdict)


def family(answers, task=None, calls=(), new=True, place=0):
    """A question that was posed and answered so; `calls` of each conversation."""
    task = task or question(key=f"q{place}")
    verdict = Verdict(Status.PASSED, "ok", task=task)
    proposal = Episode((place,), Role.PROPOSER, "question", Source("question"), verdict=verdict)
    proposal.facts["new"] = new
    counts = list(calls) or [0] * len(answers)
    pairs = enumerate(zip(answers, counts, strict=True))
    return Family(proposal, [solved(task, answer, count, i) for i, (answer, count) in pairs])


def no_question(place=0):
    """A proposal that could not be read."""
    verdict = Verdict(Status.MALFORMED, "no_question")
    return Family(Episode((place,), Role.PROPOSER, "question", Source("question"), verdict=verdict))
