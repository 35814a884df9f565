"""A game of words, and an engine that says what a script has."""

import random
from collections import defaultdict
from types import SimpleNamespace

from azr_fast.rollout.engine import Completion
from azr_fast.rollout.renderer import Given
from azr_fast.types import Message, Source, Status, Stop, Task, Verdict


class WordGame:
    """A `Game` of two types."""

    kinds = ("a", "b")

    def __init__(self, prices_known_tasks=True):
        self.prices_known_tasks = prices_known_tasks

    def first_tasks(self):
        return [Task("a", "first", {})]

    def sources(self, kind, count, tasks, rng):
        return [Source(kind)] * count

    async def propose(self, source, chat):
        said = await chat.say(Message("user", f"pose {source.kind}"))
        if said == "junk":
            return Verdict(Status.REJECTED, "junk")
        return Verdict(Status.PASSED, "ok", task=Task(source.kind, said, {}))

    async def solve(self, task, chat):
        said = await chat.say(Message("user", f"solve {task.key}"))
        return Verdict(Status.PASSED if said == "right" else Status.WRONG, said)

    def seeds_from(self, task):
        return [task]


class ScriptedEngine:
    """An `Engine` that has answers to each prompt: a list, of which the place of an episode chooses
    one, or an iterator. It ends requests in an order of its own."""

    name = "scripted"

    def __init__(self, script, order):
        self._script = defaultdict(lambda: ["right"], script)
        self._queue = []
        self._rng = random.Random(order)

    def submit(self, request):
        self._queue.append(request)

    def in_batch(self):
        return self._rng.random() < 0.5

    def poll(self):
        request = self._queue.pop(self._rng.randrange(len(self._queue)))
        answers = self._script["".join(map(chr, request.prompt_ids))]
        listed = isinstance(answers, list)
        ids = tuple(map(ord, answers[request.id[-2] % len(answers)] if listed else next(answers)))
        return [Completion(request.id, (*ids, 0), (0.0,) * (len(ids) + 1), Stop.END)]

    def cancel(self):
        self._queue = []

    def generated_tokens(self):
        return 0


# One token per character; 0 ends a turn.
RENDERER = SimpleNamespace(
    begin=lambda messages, prefill: Given(tuple(map(ord, messages[0].content)), "", prefill),
    text=lambda ids, after: "".join(map(chr, ids)),
    template=SimpleNamespace(ends={0}, stop_strings=(), refusals={}),
)
