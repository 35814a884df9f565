"""One round of play: propose, check, price and solve, all at once through one engine.

Whatever ends first, a round is the same: every random choice follows from the run's seed, the step
and the place of an episode, and what is posed is admitted in the order in which it was asked for.
"""

from __future__ import annotations

import random
from asyncio import gather
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from azr_fast.config.schema import Config
from azr_fast.games.game import Game
from azr_fast.rollout.episodes import Episodes
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.types import UNJUDGED, Episode, EpisodeId, Family, Role, Source, Task


@dataclass(slots=True)
class Round:
    """Plays one step of a run, or a part of it.

    `config.play` says how much is sampled. Known tasks that are solved come from the buffers, or
    from a pool, of which the step takes its `place`. `turn` tells rounds of one step apart.
    """

    game: Game
    buffer: TaskBuffer
    episodes: Episodes
    config: Config
    step: int
    turn: int = 0
    pool: int | None = None  # the iteration whose pool it is; None: the buffers
    place: int = 0  # of the step among those that draw from the pool
    # How often the weights of each role have moved; not at all where it does not say.
    versions: Mapping[Role, int] = field(default_factory=dict)

    async def play(self) -> list[Family]:
        """Propose and solve at once: a task is priced as soon as it is posed. Every family of the
        step in the order it was asked for."""
        posed, replays = self._pose(self.game.kinds, self.config.play.proposals), list[Family]()
        if not posed:  # the game has nothing to propose from
            return await self.solve(posed)
        await gather(*(self._grow(family, posed, replays) for family in posed))
        return self._priced(posed) + replays

    async def propose(self) -> list[Family]:
        """The proposals alone, where other weights solve them."""
        posed = self._pose(self.game.kinds, self.config.play.proposals)
        await gather(*map(self._propose, posed))
        return posed

    async def solve(self, posed: list[Family]) -> list[Family]:
        """Price what was posed, and solve known tasks. All families, in order."""
        for family in posed:
            self._open_prices(family)
        replays = self._open_replays(posed)
        await gather(*map(self._solve, posed + replays))
        return self._priced(posed) + replays

    async def _grow(self, family: Family, posed: Sequence[Family], replays: list[Family]) -> None:
        """Propose, then price. The last proposal to be judged brings the known tasks, at once: an
        engine that decodes static batches begins one when nobody else is about to ask."""
        await self._propose(family)
        self._open_prices(family)
        opened = [family]
        if all(one.proposal and one.proposal.verdict is not UNJUDGED for one in posed):
            replays += self._open_replays(posed)
            opened += replays
        await gather(*map(self._solve, opened))

    async def seed(self, kinds: Sequence[str], count: int) -> list[Family]:
        """Proposals alone, added to the buffer as seeds: no pricing, no solving."""
        families = self._pose(kinds, count)
        await gather(*map(self._propose, families))
        for family in families:
            if (task := family.task) and family.proposal:
                added = [
                    self.buffer.add(seed, self.step, family.proposal)
                    for seed in self.game.seeds_from(task)
                ]
                family.proposal.facts["new"] = any(added)
        return families

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

    def _open_prices(self, family: Family) -> None:
        """Solutions that price a valid proposal, unless known tasks are not priced."""
        task, count = family.task, self.config.play.price_samples
        assert family.proposal is not None
        if task and (self.game.prices_known_tasks or not self.buffer.known(task.key)):
            family.solves = self._open_solves(
                task, [(*family.proposal.id, j) for j in range(count)]
            )

    def _open_solves(self, task: Task, ids: Sequence[EpisodeId]) -> list[Episode]:
        return [self._open(i, Role.SOLVER, task.kind, task=task) for i in ids]

    async def _solve(self, family: Family) -> None:
        await gather(*map(self._solve_one, family.solves))

    async def _solve_one(self, solve: Episode) -> None:
        task = solve.task
        assert task is not None
        await self.episodes.play(solve, self._seed(), lambda chat: self.game.solve(task, chat))

    def _open_replays(self, posed: Sequence[Family]) -> list[Family]:
        """All proposals are judged: admit the new tasks, and choose what else is solved."""
        budget, samples = self.config.play.solves, self.config.play.solve_samples
        known = {kind: self._draw(kind, budget) for kind in self.game.kinds}
        fresh = self._admit(posed)
        tasks: list[Task] = []
        for kind in self.game.kinds:
            mine = [task for task in fresh if task.kind == kind][:budget]
            tasks += known[kind][: budget - len(mine)]
            if not self.config.play.train_on_priced_answers:
                tasks += mine
        return [
            Family(None, self._open_solves(task, _ids(number, samples)))
            for number, task in enumerate(tasks, start=len(posed))
        ]

    def _draw(self, kind: str, count: int) -> list[Task]:
        """Known tasks, at random from the buffers; those of a pool all in turn, shuffled."""
        if self.pool is None:
            return self.buffer.draw([kind], count, self._rng("solve", kind))
        tasks = self.buffer.pool(kind, self.pool)
        random.Random(f"{self.config.run.seed}/pool {self.pool}/{kind}").shuffle(tasks)
        count = min(count, len(tasks))
        return [tasks[(self.place * count + i) % len(tasks)] for i in range(count)]

    def _admit(self, posed: Sequence[Family]) -> list[Task]:
        """Add valid tasks to the buffer in request order; those that are priced are fresh."""
        fresh = []
        for family in posed:
            if (task := family.task) and family.proposal:
                new = family.proposal.facts["new"] = not self.buffer.known(task.key)
                priced = new or self.game.prices_known_tasks
                if self.buffer.add(task, self.step, family.proposal) and priced:
                    fresh.append(task)
        return fresh

    def _priced(self, posed: list[Family]) -> list[Family]:
        """Note the Monte-Carlo solve rate of each new task, and of each known one that was priced.
        Returns the same families."""
        for family in posed:
            task, proposal = family.task, family.proposal
            if task and proposal and (proposal.facts["new"] or self.game.prices_known_tasks):
                proposal.facts["accuracy"] = family.solve_rate
                if proposal.facts["new"]:
                    self.buffer.record_accuracy(task, family.solve_rate)
        return posed

    def _open(
        self,
        id: EpisodeId,  # noqa: A002 - the field's name
        role: Role,
        kind: str,
        source: Source | None = None,
        task: Task | None = None,
    ) -> Episode:
        episode = Episode(id, role, kind, source, task, version=self.versions.get(role, 0))
        self.episodes.open(episode)
        return episode

    def _seed(self) -> str:
        return f"{self.config.run.seed}/{self.step}/{self.turn}"

    def _rng(self, purpose: str, kind: str) -> random.Random:
        return random.Random(f"{self._seed()}/{purpose}/{kind}")


def _ids(number: int, samples: int) -> list[EpisodeId]:
    """The ids of the solutions of a known task. A single one has the place of the task as its id,
    by which it was always seeded."""
    return [(number,)] if samples == 1 else [(number, j) for j in range(samples)]
