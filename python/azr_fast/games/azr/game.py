"""The AZR game behind the core's protocol."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from azr_fast.errors import UserError
from azr_fast.games.azr import rewards, tasks
from azr_fast.games.azr.config import AzrConfig, GameConfig, IntrinsicConfig, RewardConfig
from azr_fast.games.azr.execute import Executor
from azr_fast.games.azr.gate import Gate
from azr_fast.games.azr.grade import Grader
from azr_fast.games.azr.intrinsic import Intrinsic
from azr_fast.games.azr.prompts import Wording, open_form
from azr_fast.games.azr.references import draw_sources
from azr_fast.games.azr.refusal import Malformed, Refusal
from azr_fast.games.azr.tasks import ERRORS, SEED_KINDS
from azr_fast.games.azr.thought import think_and_answer
from azr_fast.games.azr.verify import verify
from azr_fast.games.game import Chat, Game, Tasks
from azr_fast.sandbox.client import AsyncClient, Client
from azr_fast.sandbox.usage import Usage
from azr_fast.types import Family, Source, Status, Task, Verdict

_EVIDENCE_CHARS = 500


class AzrGame(Game):
    """Deduction, abduction and induction over Python programs, verified by execution."""

    def __init__(
        self,
        config: GameConfig,
        reward: RewardConfig,
        client: AsyncClient,
        usage: Usage,
        intrinsic: IntrinsicConfig = IntrinsicConfig(),  # noqa: B008 - it is frozen
    ) -> None:
        self._config = config
        self._reward = reward
        repeated = Executor(client, config.determinism_runs, config.max_value_chars)
        # Solutions are compared as values, so the order of a dict may follow the hash seed.
        once = Executor(client, 1, config.max_value_chars)
        self._gate = Gate(config, repeated)
        self._grader = Grader(config, once)
        self._form = open_form(config)
        self._intrinsic = Intrinsic(intrinsic)
        self._usage = usage

    @property
    def kinds(self) -> tuple[str, ...]:
        """Task types, in the order they are played."""
        return self._config.kinds

    @property
    def prices_known_tasks(self) -> bool:
        """A duplicate with a reward of its own needs no price."""
        return self._reward.duplicate is None

    def first_tasks(self) -> Sequence[Task]:
        """The identity triplet. Induction needs no first task: it proposes about the others'."""
        config = self._config
        kinds = [kind for kind in (*SEED_KINDS, ERRORS) if kind != ERRORS or ERRORS in self.kinds]
        first = [tasks.identity(kind, config.novelty) for kind in kinds]
        if config.identity_induction:
            first.append(tasks.identity_induction(config.pairs, config.novelty))
        return first

    def seeds_from(self, task: Task) -> Sequence[Task]:
        """A triplet serves deduction and abduction alike (paper, section 3.3.1)."""
        if task.kind in SEED_KINDS:
            return [replace(task, kind=kind) for kind in SEED_KINDS]
        return [task]

    async def verify(self, task: Task) -> Verdict:
        """What the gate makes of the program and the inputs of a file's task."""
        return await _verdict(verify(task, self._gate, self._config), Status.REJECTED)

    def sources(self, kind: str, count: int, tasks: Tasks, rng: random.Random) -> Sequence[Source]:
        """References that are shown; for induction the program it is about."""
        self._intrinsic.look(kind, tasks)
        return draw_sources(kind, count, tasks, rng, self._config)

    async def propose(self, source: Source, chat: Chat) -> Verdict:
        """One request, one answer; the task is what its program gives in the sandbox."""
        rng = random.Random(source.seed)
        answer = await self._ask(chat, self._form.propose(source, rng))
        checking = self._gate.task(source, answer, self._cut_off(chat))
        verdict = await _verdict(checking, Status.REJECTED)
        if verdict.task:
            self._intrinsic.begin(source, verdict.task)
        return verdict

    async def solve(self, task: Task, chat: Chat) -> Verdict:
        """One request, one answer, compared with what the program gives."""
        answer = await self._ask(chat, self._form.solve(task))
        checking = self._grader.check(task, answer, self._cut_off(chat))
        return await _verdict(checking, Status.WRONG)

    def score(self, families: Sequence[Family]) -> None:
        """Rewards by the paper's equations, with those for what programs are like."""
        for family in families:
            rewards.score(family, self._reward)
            proposal = family.proposal
            if proposal and rewards.is_learnable(proposal):
                proposal.reward = self._intrinsic.reward(proposal.reward, proposal)
        self._intrinsic.end_step()

    def verification(self) -> Mapping[str, Any]:
        """How many programs ran, and how the sandbox served them."""
        return self._usage.since_last()

    async def _ask(self, chat: Chat, wording: Wording) -> str:
        """The model's answer, after a short thought where the form has one."""
        messages, prefill = wording
        if self._config.prompts == "compact_thought":
            return await think_and_answer(chat, messages, prefill, self._config.thought_tokens)
        return await chat.say(*messages, prefill=prefill)

    def _cut_off(self, chat: Chat) -> bool:
        return chat.truncated and self._config.refuse_truncated


def open_azr(config: AzrConfig, client: Client, programs: AsyncClient) -> AzrGame:
    """The game of a config. Raises UserError unless the daemon has an interpreter for each run that
    must agree."""
    runs = config.game.determinism_runs
    ours = "pool=default,tier=fork,"  # a daemon that runs already may have others
    zygotes = sum(line.startswith(ours) for line in client.info()["zygotes"].values())
    if runs > zygotes:
        raise UserError(
            f"game.determinism_runs is {runs} and azr-sandboxd has {zygotes} zygotes: "
            f"raise sandbox.zygotes to {runs}, or lower game.determinism_runs"
        )
    return AzrGame(config.game, config.reward, programs, Usage(client), config.intrinsic)


async def _verdict(check: Awaitable[Task | None], failed: Status) -> Verdict:
    try:
        return Verdict(Status.PASSED, "ok", task=await check)
    except Refusal as refusal:
        status = Status.MALFORMED if isinstance(refusal, Malformed) else failed
        return Verdict(status, refusal.code, refusal.evidence[:_EVIDENCE_CHARS])
