"""Judged answers made by hand, for the tests of what observes them."""

import pytest

from azr_fast.types import Episode, Message, Role, Status, Stop, Task, Verdict

TASK = Task(
    "deduction", "key", {"program": "def f(x):\n    return x + 1", "input": "1", "output": "2"}
)


def make_episode(kind, role, status, code="ok", *, reward=0.0, tokens=3, text="answer", **facts):
    """One episode; `facts` are those that pricing sets."""
    solver = role is Role.SOLVER
    posed = TASK if status is Status.PASSED and not solver else None
    return Episode(
        (0,),
        role,
        kind,
        task=TASK if solver else None,
        token_ids=[1, 2, *range(tokens)],
        sampled=[False] * 2 + [True] * tokens,
        logprobs=[0.0] * (2 + tokens),
        stops=[Stop.LENGTH if tokens >= 10 else Stop.END],
        messages=[Message("user", "the prompt"), Message("assistant", text)],
        verdict=Verdict(status, code, "seen", posed),
        reward=reward,
        facts=dict(facts),
    )


def make_step():
    """Four deduction proposals, two abduction proposals and four deduction solutions."""
    proposer, solver = Role.PROPOSER, Role.SOLVER
    return [
        make_episode("deduction", proposer, Status.MALFORMED, "no_answer", reward=-1.0, tokens=10),
        make_episode(
            "deduction", proposer, Status.REJECTED, "nondeterministic", reward=-0.5, tokens=2
        ),
        make_episode(
            "deduction", proposer, Status.PASSED, reward=0.75, tokens=4, new=True, accuracy=0.25
        ),
        make_episode("deduction", proposer, Status.PASSED, reward=-0.5, tokens=4, new=False),
        make_episode("abduction", proposer, Status.REJECTED, "syntax", reward=-0.5),
        make_episode("abduction", proposer, Status.PASSED, reward=0.0, new=True, accuracy=1.0),
        make_episode("deduction", solver, Status.PASSED, reward=1.0, text="right"),
        make_episode("deduction", solver, Status.WRONG, "wrong_output", reward=-0.5),
        make_episode("deduction", solver, Status.WRONG, "wrong_output", reward=-0.5),
        make_episode("deduction", solver, Status.MALFORMED, "no_answer", reward=-1.0),
    ]


@pytest.fixture
def episode():
    return make_episode


@pytest.fixture
def a_step():
    return make_step()
