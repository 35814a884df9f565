"""Rewards from numbers that were computed by hand (arXiv 2511.16043, section 3.2)."""

import pytest

from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.games.agent0.config import Agent0Reward
from azr_fast.games.agent0.rewards import proposer_reward, tool_use

from .conftest import family, no_question

PAPER = Agent0Reward()  # 1 for uncertainty, 0.6 for four calls, 1 for repetition


@pytest.mark.parametrize(
    ("calls", "use"),
    [([], 0.0), ([0, 0], 0.0), ([1, 3], 0.5), ([4, 4], 1.0), ([9, 9], 1.0), ([0, 6], 0.75)],
)
def test_tool_use_is_the_mean_over_conversations_capped(calls, use):
    assert tool_use(calls, 4) == use


@pytest.mark.parametrize(
    ("well_formed", "uncertainty", "tool", "repetition", "reward"),
    [
        (True, 1.0, 0.5, 0.25, 1.05),  # 1 + 0.6 * 0.5 - 0.25
        (True, 0.4, 0.0, 0.125, 0.275),
        (True, 0.0, 0.0, 0.5, 0.0),  # never negative
        (True, 0.2, 1.0, 0.0, 0.8),
        (False, 1.0, 1.0, 0.0, 0.0),  # the form is a factor
    ],
)
def test_the_proposers_reward(well_formed, uncertainty, tool, repetition, reward):
    assert proposer_reward(well_formed, uncertainty, tool, repetition, PAPER) == pytest.approx(
        reward
    )


def test_a_step_is_scored_from_votes_calls_and_likeness(table):
    """Four proposals: half agree with one call each; all agree; nobody answers; no question."""
    game = table(reward__tool=0.6).game
    families = [
        family(["5", "5", "7", "8"], calls=[1, 1, 1, 1], place=0),
        family(["3"] * 4, calls=[4, 4, 4, 4], place=1),
        family([None] * 4, place=2),
        no_question(3),
    ]
    texts = ["What is two plus three?", "How many primes are below seven hundred?", "Solve it now."]
    for one, text in zip(families, texts, strict=False):
        one.task.payload["question"] = text
    game.score(families)
    rewards = [one.proposal.reward for one in families]
    # p = 0.5: 1 + 0.6 * 0.25 - 1/4 · p = 1: 0 + 0.6 - 1/4 · p = 0: max(0, -1/4)
    assert rewards == pytest.approx([0.9, 0.35, 0.0, 0.0])
    assert [one.reward for one in families[0].solves] == [1.0, 1.0, 0.0, 0.0]
    assert [one.passed for one in families[0].solves] == [True, True, False, False]
    assert [one.reward for one in families[2].solves] == [0.0] * 4
    assert [game.rate(one) for one in families[:2]] == [0.5, 1.0]
    assert not 0.0 <= game.rate(families[2]) <= 1.0  # in no band
    assert game.label(families[0]).payload["answer"] == "5"
    assert game.label(families[0]).label == "vote"


def test_questions_that_are_alike_earn_less(table):
    game = table(reward__tool=0.0).game
    text = "How many ways are there to choose three people of nine?"
    families = [family(["1", "1", "2", "3"], place=i) for i in range(4)]
    for one in families[:3]:
        one.task.payload["question"] = text
    families[3].task.payload["question"] = "Find the area of a circle whose radius is seven metres."
    game.score(families)
    assert [one.proposal.reward for one in families] == pytest.approx([0.25, 0.25, 0.25, 0.75])
    assert [one.proposal.facts["repetition"] for one in families] == [0.75, 0.75, 0.75, 0.25]


def test_calls_may_not_pay_more_than_difficulty():
    with pytest.raises(UserError, match="pay more for calls"):
        load_config("agent0-cpu", {"reward.tool": 1.5})


def test_where_the_truth_is_known_it_can_be_what_is_taught(table):
    game = table(game__programs=True, game__label="executed").game
    one = family(["5", "5", "5", "6"])
    one.task.payload["truth"] = "6.0"
    game.score([one])
    assert [solve.passed for solve in one.solves] == [False, False, False, True]
    assert game.rate(one) == 0.25
    task = game.label(one)
    assert (task.payload["answer"], task.label) == ("6.0", "execution")
    measured = game.verification()
    assert (measured["vote_accuracy"], measured["vote_checked"]) == (0.0, 1)


def test_a_label_that_needs_programs_is_refused_without():
    with pytest.raises(UserError, match="set programs"):
        load_config("agent0-cpu", {"game.label": "executed", "game.programs": False})
