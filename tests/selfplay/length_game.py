"""A game whose answers are right when they have an even number of characters, and what plays it."""

from azr_fast.rollout.engine import EngineDied
from azr_fast.rollout.transformers_engine import TransformersEngine
from azr_fast.selfplay.types import Judgement, Message, Prompt, Role, Status, Task


class LengthGame:
    """Proposals and solutions are right when their text has an even number of characters."""

    kinds = ("even",)
    end_tokens = frozenset({2})

    def first_tasks(self):
        return [Task("even", "first", {})]

    def proposal_prompts(self, kind, count, buffer, rng):
        return [Prompt(kind, Role.PROPOSER, (Message("user", "pose"),))] * count

    def gate(self, answer):
        if len(answer.text) % 2:
            return Judgement(Status.REJECTED, "odd")
        return Judgement(Status.PASSED, "ok", task=Task("even", answer.text, {}))

    def solve_prompt(self, task):
        return Prompt("even", Role.SOLVER, (Message("user", "solve"),), task=task)

    def grade(self, answer):
        return Judgement(Status.WRONG if len(answer.text) % 2 else Status.PASSED, "even")

    def seeds_from(self, task):
        return [task]

    def verification(self):
        return {}


class StubbornGame(LengthGame):
    """A game in which nothing is ever right, and in which answers never end."""

    def gate(self, answer):
        return Judgement(Status.MALFORMED, "no")

    def grade(self, answer):
        return Judgement(Status.MALFORMED, "no")


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
