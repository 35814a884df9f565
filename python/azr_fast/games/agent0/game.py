"""Agent0 (arXiv 2511.16043): a curriculum agent poses questions, executors solve them."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from azr_fast.errors import UserError
from azr_fast.games.agent0 import questions, random_questions
from azr_fast.games.agent0.config import Agent0Config
from azr_fast.games.agent0.conversation import Conversation, converse
from azr_fast.games.agent0.measures import Measures, calls
from azr_fast.games.agent0.prompts import Prompts
from azr_fast.games.agent0.repetition import repetition
from azr_fast.games.agent0.rewards import proposer_reward, tool_use
from azr_fast.games.agent0.tool import Session, Tool
from azr_fast.games.agent0.truth import Truth
from azr_fast.games.agent0.vote import measured, vote
from azr_fast.games.game import Chat, Game, Tasks
from azr_fast.mathematics import Equality
from azr_fast.mathematics.equality import require_math_verify
from azr_fast.sandbox.client import AsyncClient, Client
from azr_fast.sandbox.launcher import IMPORTS_POOL
from azr_fast.types import Family, Source, Status, Task, Verdict

_EVIDENCE_CHARS = 300


class Agent0(Game):
    """Questions in words. What is right is what most executors answer, or what a program gives."""

    kinds = (questions.KIND,)
    prices_known_tasks = True  # a question that is posed again has a price, and is found alike

    def __init__(self, config: Agent0Config, tool: Tool, truth: Truth, equality: Equality) -> None:
        self._rules = config.game
        self._reward = config.reward
        self._prompts = Prompts(config.game)
        self._tool = tool
        self._truth = truth
        self._equality = equality
        self._measures = Measures(tool, equality)

    def first_tasks(self) -> Sequence[Task]:
        """None: curriculum agents begin from nothing."""
        return ()

    def sources(self, kind: str, count: int, tasks: Tasks, rng: random.Random) -> Sequence[Source]:
        """Each run of `siblings` proposals is made from one source."""
        alike = self._rules.siblings if self._rules.proposer == "model" else 1
        found: list[Source] = []
        while len(found) < count:
            source = Source(kind, (), rng.getrandbits(63))
            found += [source] * min(alike, count - len(found))
        return found

    async def propose(self, source: Source, chat: Chat) -> Verdict:
        """One request, one question; its program, where it has one, says the truth."""
        if self._rules.proposer == "random":
            known = random_questions.random_question(random.Random(source.seed))
            return _posed(questions.task_of(known, known.answer))
        messages, prefill = self._prompts.propose(source.seed)
        draft = questions.read(await chat.say(*messages, prefill=prefill), self._rules)
        if isinstance(draft, Verdict):
            return draft
        if draft.program is None:
            return _posed(questions.task_of(draft, None))
        truth = await self._truth.of(draft.program)
        return truth if isinstance(truth, Verdict) else _posed(questions.task_of(draft, truth))

    async def solve(self, task: Task, chat: Chat) -> Verdict:
        """A conversation with the tool. A question of a pool has its label in `answer`; any other
        is voted on when all have answered."""
        messages, prefill = self._prompts.solve(str(task.payload["question"]))
        talk = await converse(chat, messages, prefill, Session(self._tool), self._rules.tool_calls)
        if talk.answer is None:
            code = "truncated" if chat.truncated else "no_answer"
            return _verdict(Status.MALFORMED, code, talk)
        label = task.payload.get("answer")
        if label is None:
            return _verdict(Status.PASSED, "answered", talk)
        equal = await asyncio.to_thread(self._equality.equal, str(label), talk.answer)
        return _verdict(Status.PASSED if equal else Status.WRONG, "ok" if equal else "wrong", talk)

    def score(self, families: Sequence[Family]) -> None:
        """Votes, and the rewards of section 3.2; an executor earns 1 for the right answer."""
        asked = [family for family in families if family.proposal]
        shares = self._shares_alike(asked)
        for family, share in zip(asked, shares, strict=True):
            self._price(family, share)
        for family in families:
            for solve in family.solves:
                solve.reward = float(solve.passed)
        self._measures.take(families)

    def rate(self, family: Family) -> float:
        """The agreement of executors, p; where nobody answered nan, which lies in no band."""
        assert family.proposal is not None
        facts = family.proposal.facts
        return math.nan if facts["label"] is None else float(facts["agreement"])

    def label(self, family: Family) -> Task:
        """The question with what is taught as its right answer."""
        assert family.task is not None
        assert family.proposal is not None
        return replace(
            family.task,
            payload=dict(family.task.payload) | {"answer": family.proposal.facts["label"]},
            label="vote" if self._rules.label == "majority" else "execution",
        )

    def verification(self) -> Mapping[str, Any]:
        """What votes and calls came to since the last call."""
        return self._measures.since_last()

    def _shares_alike(self, asked: Sequence[Family]) -> list[float]:
        """Each question's share of the step that is like it; 0 for what is no question."""
        batch = [family for family in asked if family.proposal and not family.proposal.failed]
        texts = [str(family.task.payload["question"]) for family in batch if family.task]
        alike = iter(repetition(texts, len(batch), self._reward.alike))
        return [next(alike) if family.task else 0.0 for family in asked]

    def _price(self, family: Family, share: float) -> None:
        """The reward of a proposal, from the conversations about it, which are told who agreed."""
        proposal = family.proposal
        assert proposal is not None
        judged = [solve for solve in family.solves if not solve.failed]
        answers = [solve.verdict.answer for solve in judged]
        voted = counted = vote(answers, self._equality)
        if self._rules.label == "executed" and family.task:
            counted = measured(answers, str(family.task.payload["truth"]), self._equality)
        for solve, agrees in zip(judged, counted.agrees, strict=True):
            if solve.passed and not agrees:
                solve.verdict = replace(solve.verdict, status=Status.WRONG, code="disagrees")
        tool = tool_use([calls(solve) for solve in judged], self._reward.most_calls)
        proposal.facts |= {
            "agreement": counted.agreement,
            "accuracy": counted.agreement,
            "label": counted.label,
            "vote": voted.label,
            "tool": tool,
            "repetition": share,
        }
        if not proposal.failed:
            proposal.reward = proposer_reward(
                bool(family.task), counted.uncertainty, tool, share, self._reward
            )


def open_agent0(config: Agent0Config, client: Client, programs: AsyncClient) -> Agent0:
    """The game of a config. Programs run in the pool that has the imports of the config ready, or
    where a daemon that runs already has none, in its own."""
    require_math_verify()
    if config.schedule.name == "joint":
        raise UserError(
            "agent0 learns from votes on a pool: set schedule.name = alternate, or begin from a "
            "preset, such as agent0-cpu"
        )
    ready = any(f"pool={IMPORTS_POOL}," in one for one in client.info()["zygotes"].values())
    pool = IMPORTS_POOL if ready else ""
    tool = Tool(programs, client.limits, config.game, pool)
    return Agent0(config, tool, Truth(programs, pool), Equality())


def _posed(task: Task) -> Verdict:
    return Verdict(Status.PASSED, "ok", task=task)


def _verdict(status: Status, code: str, talk: Conversation) -> Verdict:
    facts = {"calls": talk.calls, "call_errors": talk.errors}
    return Verdict(status, code, talk.said[-1][-_EVIDENCE_CHARS:], answer=talk.answer, facts=facts)
