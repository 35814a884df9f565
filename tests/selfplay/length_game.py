"""A game whose answers are right when they have an even number of characters, and what plays it."""

from azr_fast.games.game import Game
from azr_fast.rollout.engine import EngineDied
from azr_fast.rollout.transformers_engine import TransformersEngine
from azr_fast.types import Message, Source, Status, Task, Verdict


class LengthGame:
    """Proposals and solutions are right when their text has an even number of characters."""

    kinds = ("even",)
    prices_known_tasks = True
    end_tokens = frozenset({2})

    def first_tasks(self):
        return [Task("even", "first", {})]

    def seeds_from(self, task):
        return [task]

    def sources(self, kind, count, tasks, rng):
        return [Source(kind)] * count

    async def propose(self, source, chat):
        said = await chat.say(Message("user", "pose"))
        if len(said) % 2:
            return Verdict(Status.REJECTED, "odd")
        return Verdict(Status.PASSED, "ok", task=Task("even", said, {}))

    async def solve(self, task, chat):
        said = await chat.say(Message("user", "solve"))
        return Verdict(Status.WRONG if len(said) % 2 else Status.PASSED, "even")

    def score(self, families):
        for family in families:
            for episode in family.episodes:
                episode.reward = float(episode.passed)

    rate, label = Game.rate, Game.label

    def follow_ups(self, family):
        return ()

    def verification(self):
        return {}


class StubbornGame(LengthGame):
    """A game in which nothing is ever right, and in which answers never end."""

    async def propose(self, source, chat):
        await chat.say(Message("user", "pose"))
        return Verdict(Status.MALFORMED, "no")

    async def solve(self, task, chat):
        await chat.say(Message("user", "solve"))
        return Verdict(Status.MALFORMED, "no")


class BrokenGame(LengthGame):
    """A game with a fault in it."""

    async def propose(self, source, chat):
        raise ZeroDivisionError("a fault of the game")

    solve = propose


class ToollessGame(LengthGame):
    """A game that says itself that its episodes failed."""

    async def propose(self, source, chat):
        return Verdict(Status.FAILED, "no_tool")

    solve = propose


class DullGame(StubbornGame):
    """The same with answers that end, at every second token that may be sampled."""

    end_tokens = frozenset(range(0, 49152, 2))


class Told:
    """An observer that keeps what it is told."""

    def __init__(self):
        self.steps, self.notes = [], []

    def phase(self, name, total=None):
        pass

    def advance(self, done, total=None, note=""):
        pass

    def step(self, metrics):
        self.steps.append(metrics)

    def note(self, text):
        self.notes.append(text)


class FaultyEngine(TransformersEngine):
    """The real engine, with log-probs that are `lie` nats off, and a death, when a test says so."""

    lie, dies = 0.0, False

    def poll(self):
        if self.dies:
            raise EngineDied(self.name, RuntimeError("out of order"))
        done = super().poll()
        for completion in done:
            shifted = tuple(logprob - self.lie for logprob in completion.logprobs)
            object.__setattr__(completion, "logprobs", shifted)
        return done
