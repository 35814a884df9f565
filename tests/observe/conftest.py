"""Judged answers made by hand, for the tests of what observes them."""

import pytest

from azr_fast.selfplay.types import Answer, Judged, Judgement, Message, Prompt, Role, Status, Task

TASK = Task(
    "deduction", "key", {"program": "def f(x):\n    return x + 1", "input": "1", "output": "2"}
)


def make_judged(kind, role, status, code="ok", *, reward=0.0, tokens=3, text="answer", **stats):
    """One answer; `stats` are those that pricing sets."""
    solver = role is Role.SOLVER
    prompt = Prompt(kind, role, (Message("user", "the prompt"),), task=TASK if solver else None)
    answer = Answer(
        request=(0,),
        prompt=prompt,
        prompt_ids=(1, 2),
        token_ids=tuple(range(tokens)),
        logprobs=(0.0,) * tokens,
        text=text,
        truncated=tokens >= 10,
    )
    posed = TASK if status is Status.PASSED and not solver else None
    return Judged(answer, Judgement(status, code, "seen", posed), dict(stats), reward)


def make_step():
    """Four deduction proposals, two abduction proposals and four deduction solutions."""
    proposer, solver = Role.PROPOSER, Role.SOLVER
    return [
        make_judged("deduction", proposer, Status.MALFORMED, "no_answer", reward=-1.0, tokens=10),
        make_judged(
            "deduction", proposer, Status.REJECTED, "nondeterministic", reward=-0.5, tokens=2
        ),
        make_judged(
            "deduction", proposer, Status.PASSED, reward=0.75, tokens=4, new=True, accuracy=0.25
        ),
        make_judged("deduction", proposer, Status.PASSED, reward=-0.5, tokens=4, new=False),
        make_judged("abduction", proposer, Status.REJECTED, "syntax", reward=-0.5),
        make_judged("abduction", proposer, Status.PASSED, reward=0.0, new=True, accuracy=1.0),
        make_judged("deduction", solver, Status.PASSED, reward=1.0, text="right"),
        make_judged("deduction", solver, Status.WRONG, "wrong_output", reward=-0.5),
        make_judged("deduction", solver, Status.WRONG, "wrong_output", reward=-0.5),
        make_judged("deduction", solver, Status.MALFORMED, "no_answer", reward=-1.0),
    ]


@pytest.fixture
def judged():
    return make_judged


@pytest.fixture
def a_step():
    return make_step()
