"""Backwards: one poses words, the other writes them from their ends. This is the whole game."""

import re
from pathlib import Path
from typing import Literal

from azr_fast.config.games import GameType, Work
from azr_fast.config.schema import Config, GameSection
from azr_fast.games.game import Game
from azr_fast.types import Message, Source, Status, Task, Verdict


class BackwardsSection(GameSection):
    """Rules of the game."""

    name: Literal["backwards"] = "backwards"


class BackwardsConfig(Config):
    game: BackwardsSection = BackwardsSection()


class Backwards(Game):
    kinds = ("word",)

    def first_tasks(self):
        return [Task("word", "self", {"word": "self"})]

    def sources(self, kind, count, tasks, rng):
        return [Source(kind, tuple(tasks.draw([kind], 3, rng))) for _ in range(count)]

    async def propose(self, source, chat):
        seen = ", ".join(task.key for task in source.references)
        said = await chat.say(Message("user", f"One English word, unlike {seen}:"))
        word = re.search(r"\b[a-z]{3,12}\b", said.lower())
        if word is None:
            return Verdict(Status.MALFORMED, "no_word", said)
        return Verdict(Status.PASSED, "ok", task=Task("word", word[0], {"word": word[0]}))

    async def solve(self, task, chat):
        said = await chat.say(Message("user", f"Write {task.key} backwards, nothing else:"))
        right = said.strip().lower() == task.key[::-1]
        return Verdict(*((Status.PASSED, "ok") if right else (Status.WRONG, "other_word")))

    def score(self, families):
        for family in families:
            for solve in family.solves:
                solve.reward = float(solve.passed)
            if family.proposal:
                family.proposal.reward = 1 - family.solve_rate if family.solve_rate else 0.0


BACKWARDS = GameType(
    config=BackwardsConfig,
    open=lambda config, client, programs: Backwards(),
    work=lambda config: [Work("word/proposer", (config.play.proposals,) * 2, (0, 0))],
    aim=lambda config: "a proposer earns most for words that are seldom written backwards right",
    presets=Path(__file__).with_name("presets"),
)
