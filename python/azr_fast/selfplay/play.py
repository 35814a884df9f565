"""One round of play: propose, check, price and solve, all at once through one engine.

Whatever ends first, a round is the same: every random choice follows from the run's seed, the step
and the place of an episode, and what is posed is admitted in the order in which it was asked for.
"""

from __future__ import annotations

import random
from asyncio import gather
from collections.abc import Sequence
from dataclasses import dataclass, field

from azr_fast.config.schema import Config
from azr_fast.games.game import Game
from azr_fast.rollout.episodes import Episodes
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.types import Episode, EpisodeId, Family, Role, Source, Task


@dataclass(slots=True)
class Round:
    """Plays one step of a run. `turn` tells rounds of one step apart."""

    game: Game
    buffer: TaskBuffer
    episodes: Episodes
    config: Config
    step: int
    turn: int = 0
    _unjudged: int = field(default=0, init=False)  # proposals
    _replays: list[Family] = field(default_factory=list, init=False)

    async def play(self) -> list[Family]:
        """Every family of the step in the order it was asked for, proposals priced."""
        posed = self._pose(self.game.kinds, self.config.play.proposals)
        self._unjudged = len(posed)
        await gather(*(self._grow(family, posed) for family in posed))
        for family in posed:
            self._note_price(family)
        return posed + self._replays

    async def seed(self, kinds: Sequence[str], count: int) -> list[Family]:
        """Proposals alone, added to the buffer as seeds: no pricing, no solving."""
        families = self._pose(kinds, count)
        await gather(*map(self._propose, families))
        for family in families:
            if (task := family.task) and family.proposal:
                added = [self.buffer.add(seed, self.step) for seed in self.game.seeds_from(task)]
                family.proposal.facts["new"] = any(added)
        return families

    async def _grow(self, family: Family, posed: list[Family]) -> None:
        """Propose, then price; the last proposal to be judged lets the known tasks be solved."""
        await self._propose(family)
        self._open_solves(family)
        self._unjudged -= 1
        if not self._unjudged:
            self._replays = self._choose_replays(posed)
        replays = () if self._unjudged else self._replays
        await gather(*(self._solve(one) for one in (family, *replays)))

    def _pose(self, kinds: Sequence[str], count: int) -> list[Family]:
        """A family with an open proposal for each source."""
        self.buffer.step = self.step
        sources = [
            source
            for kind in kinds
            for source in self.game.sources(kind, count, self.buffer, self._rng("propose", kind))
        ]
        return [
            Family(self._open((i,), Role.PROPOSER, source.kind, source=source))
            for i, source in enumerate(sources)
        ]

    async def _propose(self, family: Family) -> None:
        proposal = family.proposal
        assert proposal is not None
        source = proposal.source
        assert source is not None
        await self.episodes.play(
            proposal, self._seed(), lambda chat: self.game.propose(source, chat)
        )

    def _open_solves(self, family: Family) -> None:
        """Solutions that price a valid proposal, unless known tasks are not priced."""
        task = family.task
        assert family.proposal is not None
        if task and (self.game.prices_known_tasks or not self.buffer.known(task.key)):
            ids = [(*family.proposal.id, j) for j in range(self.config.play.price_samples)]
            family.solves = [self._open(i, Role.SOLVER, task.kind, task=task) for i in ids]

    async def _solve(self, family: Family) -> None:
        await gather(*map(self._solve_one, family.solves))

    async def _solve_one(self, solve: Episode) -> None:
        task = solve.task
        assert task is not None
        await self.episodes.play(solve, self._seed(), lambda chat: self.game.solve(task, chat))

    def _choose_replays(self, posed: list[Family]) -> list[Family]:
        """With all proposals judged: admit the new tasks, choose what else is solved."""
        budget = self.config.play.solves
        known = {kind: self._draw(kind, budget) for kind in self.game.kinds}
        fresh = self._admit(posed)
        tasks: list[Task] = []
        for kind in self.game.kinds:
            mine = [task for task in fresh if task.kind == kind][:budget]
            tasks += known[kind][: budget - len(mine)]
            if not self.config.play.train_on_priced_answers:
                tasks += mine
        return [
            Family(None, [self._open((len(posed) + i,), Role.SOLVER, task.kind, task=task)])
            for i, task in enumerate(tasks)
        ]

    def _draw(self, kind: str, count: int) -> list[Task]:
        return self.buffer.draw([kind], count, self._rng("solve", kind))

    def _admit(self, posed: list[Family]) -> list[Task]:
        """Add valid tasks to the buffer in request order; those that are priced are fresh."""
        fresh = []
        for family in posed:
            if (task := family.task) and family.proposal:
                new = family.proposal.facts["new"] = not self.buffer.known(task.key)
                priced = new or self.game.prices_known_tasks
                if self.buffer.add(task, self.step) and priced:
                    fresh.append(task)
        return fresh

    def _note_price(self, family: Family) -> None:
        """The Monte-Carlo solve rate of a new task, or of a known one that was priced."""
        task, proposal = family.task, family.proposal
        if task and proposal and (proposal.facts["new"] or self.game.prices_known_tasks):
            proposal.facts["accuracy"] = family.solve_rate
            if proposal.facts["new"]:
                self.buffer.record_accuracy(task, family.solve_rate)

    def _open(
        self,
        id: EpisodeId,  # noqa: A002 - the field's name
        role: Role,
        kind: str,
        source: Source | None = None,
        task: Task | None = None,
    ) -> Episode:
        episode = Episode(id, role, kind, source, task, version=self.step - 1)
        self.episodes.open(episode)
        return episode

    def _seed(self) -> str:
        return f"{self.config.run.seed}/{self.step}/{self.turn}"

    def _rng(self, purpose: str, kind: str) -> random.Random:
        return random.Random(f"{self._seed()}/{purpose}/{kind}")
