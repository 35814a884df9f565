"""One round of play: propose, gate, price and solve, all through one queue."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean

from azr_fast.config.schema import Config
from azr_fast.rollout.stream import Stream
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.game import Game
from azr_fast.selfplay.types import Answer, Judged, Judgement, Prompt, Role, Status, Task


class Round:
    """Plays one step of a run. Every random choice follows from the seed, the step and the turn."""

    def __init__(
        self,
        game: Game,
        buffer: TaskBuffer,
        stream: Stream,
        config: Config,
        step: int,
        turn: int = 0,
    ) -> None:
        self._game = game
        self._buffer = buffer
        self._stream = stream
        self._play = config.play
        self._skip_known = config.reward.duplicate is not None
        self._step = step
        self._seed = f"{config.run.seed}/{step}/{turn}"

    def play(self) -> list[Judged]:
        """Every judged answer of the step in request order, proposals priced."""
        prompts = self._proposal_prompts(self._game.kinds, self._play.proposals)
        answers = self._stream.run(prompts, self._judge, self._seed, self._settle)
        self._price(answers)
        return answers

    def propose(self, kinds: Sequence[str], count: int) -> list[Judged]:
        """Only proposals, added to the buffers as seeds: no pricing, no solving."""
        prompts = self._proposal_prompts(kinds, count)
        answers = self._stream.run(
            prompts, lambda answer: (self._game.gate(answer), ()), self._seed
        )
        for judged in answers:
            if judged.judgement.task is not None:
                seeds = self._game.seeds_from(judged.judgement.task)
                added = [self._buffer.add(seed, self._step) for seed in seeds]
                judged.stats["new"] = any(added)
        return answers

    def _proposal_prompts(self, kinds: Sequence[str], count: int) -> list[Prompt]:
        return [
            prompt
            for kind in kinds
            for prompt in self._game.proposal_prompts(
                kind, count, self._buffer, random.Random(f"{self._seed}/propose/{kind}")
            )
        ]

    def _judge(self, answer: Answer) -> tuple[Judgement, Sequence[Prompt]]:
        """Gate a proposal and ask for the solutions that price it; grade a solution."""
        if answer.prompt.role is Role.SOLVER:
            return self._game.grade(answer), ()
        judgement = self._game.gate(answer)
        task = judgement.task
        if task is None or (self._skip_known and self._buffer.known(task.key)):
            return judgement, ()
        return judgement, [self._game.solve_prompt(task)] * self._play.price_samples

    def _settle(self, proposals: list[Judged]) -> list[Prompt]:
        """With all proposals judged: admit the new tasks, choose what else is solved."""
        budget = self._play.solves
        known = {kind: self._draw(kind, budget) for kind in self._game.kinds}
        fresh = self._admit(proposals)
        tasks: list[Task] = []
        for kind in self._game.kinds:
            mine = [task for task in fresh if task.kind == kind][:budget]
            tasks += known[kind][: budget - len(mine)]
            if not self._play.train_on_priced_answers:
                tasks += mine
        return [self._game.solve_prompt(task) for task in tasks]

    def _draw(self, kind: str, count: int) -> list[Task]:
        return self._buffer.draw([kind], count, random.Random(f"{self._seed}/solve/{kind}"))

    def _admit(self, proposals: list[Judged]) -> list[Task]:
        """Add valid tasks to the buffers in request order; those that were priced are fresh."""
        fresh = []
        for judged in proposals:
            task = judged.judgement.task
            if task is not None:
                judged.stats["new"] = not self._buffer.known(task.key)
                priced = judged.stats["new"] or not self._skip_known
                if self._buffer.add(task, self._step) and priced:
                    fresh.append(task)
        return fresh

    def _price(self, answers: list[Judged]) -> None:
        """Set the Monte-Carlo solve rate of every new task, and of known ones that were priced."""
        solved: dict[int, list[bool]] = {}
        for judged in answers:
            if is_priced_answer(judged.answer):
                passed = judged.judgement.status is Status.PASSED
                solved.setdefault(judged.answer.request[0], []).append(passed)
        for judged in answers:
            task = judged.judgement.task
            if task is not None and (judged.stats["new"] or not self._skip_known):
                # Solve prompts over the token limit are never sampled: nobody can solve the task.
                accuracy = fmean(solved.get(judged.answer.request[0], [False]))
                judged.stats["accuracy"] = accuracy
                if judged.stats["new"]:
                    self._buffer.record_accuracy(task, accuracy)


def is_priced_answer(answer: Answer) -> bool:
    """Whether an answer was sampled to price the proposal that its request descends from."""
    return len(answer.request) > 1
