"""A game for runs that are killed: a text is right when the sandbox counts an even number of
characters, which noise is half of the time. Proposals show tasks that were drawn from the buffer."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field

from azr_fast.config.games import GameType, Work
from azr_fast.config.schema import Config, GameSection
from azr_fast.games.game import Game
from azr_fast.sandbox.usage import Usage
from azr_fast.sandbox.values import canonical_arguments
from azr_fast.types import Message, Source, Status, Task, Verdict

PROGRAM = "def f(text):\n    return len(text) % 2 == 0"


class EvenSection(GameSection):
    """Rules of the game."""

    name: Literal["even"] = Field(default="even", description="the game")


class EvenConfig(Config):
    game: EvenSection = EvenSection()


class Even(Game):
    kinds = ("letters", "words")
    prices_known_tasks = True

    def __init__(self, client, programs):
        self._usage = Usage(client)
        self._programs = programs

    def first_tasks(self):
        return [Task(kind, "first", {"text": "ab"}) for kind in self.kinds]

    def sources(self, kind, count, tasks, rng):
        return [
            Source(kind, tuple(tasks.draw(self.kinds, 2, rng)), rng.getrandbits(63))
            for _ in range(count)
        ]

    async def propose(self, source, chat):
        seen = ", ".join(str(reference.payload["text"]) for reference in source.references)
        said = await chat.say(Message("user", f"pose {source.kind} {source.seed} unlike {seen}"))
        if not await self._is_even(said):
            return Verdict(Status.REJECTED, "odd")
        key = hashlib.sha256(said.encode()).hexdigest()
        parents = tuple(reference.key for reference in source.references)
        task = Task(source.kind, key, {"text": said}, parents, checks=("even",))
        return Verdict(Status.PASSED, "ok", task=task)

    async def solve(self, task, chat):
        said = await chat.say(Message("user", f"solve {task.payload['text']}"))
        right = await self._is_even(said)
        return Verdict(Status.PASSED if right else Status.WRONG, "even" if right else "odd")

    def score(self, families):
        for family in families:
            for episode in family.episodes:
                episode.reward = float(episode.passed)

    def verification(self):
        return {"programs": self._usage.since_last()["programs"]}

    async def _is_even(self, text):
        reply = await self._programs.call(PROGRAM, "f", [canonical_arguments((text,))])
        (result,) = reply.results
        return result.value == "True"


EVEN = GameType(
    config=EvenConfig,
    open=lambda config, client, programs: Even(client, programs),
    work=lambda config: [Work("letters/proposer", (1, 1), (0, 0))],
    aim=lambda config: "even texts",
    presets=Path(__file__).with_name("presets"),
)
