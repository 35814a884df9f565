"""A step that was recorded before the core knew episodes: SmolLM2-135M, 24 proposals and 18
solutions. Its texts still have the verdicts, rewards, advantages and weights that they had."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from azr_fast.algorithms import open_algorithm
from azr_fast.algorithms.weights import token_weights
from azr_fast.config.schema import AdvantageConfig
from azr_fast.types import Episode, Family, Role, Source, Task

STEP = json.loads((Path(__file__).parent / "golden" / "step.json").read_text())


def task_of(fields):
    return Task(**fields | {"parents": tuple(fields["parents"])}) if fields else None


def episode_of(answer):
    tokens = answer["tokens"]
    return Episode(
        tuple(answer["request"]),
        Role(answer["role"]),
        answer["kind"],
        source=Source(answer["kind"], tuple(map(task_of, answer["references"]))),
        task=task_of(answer["task"]),
        token_ids=[answer["prompt"], *range(tokens)],
        sampled=[False] + [True] * tokens,
        logprobs=[0.0] * (tokens + 1),
    )


@pytest.fixture(scope="module")
def families(make_player):
    """The step's families, judged and scored anew."""
    player = make_player(reward=STEP["reward"], **STEP["game"])
    families = {}
    for answer in STEP["answers"]:
        one = episode_of(answer)
        if one.role is Role.PROPOSER:
            one.verdict = player.propose(one.source, answer["text"], answer["truncated"])
            one.facts = {"new": answer["new"]} if one.passed else {}
            families[one.id] = Family(one)
        else:
            one.verdict = player.solve(one.task, answer["text"], answer["truncated"])
            families.setdefault(one.id[:1], Family(None)).solves.append(one)
    for family in families.values():
        if family.solves and family.proposal:
            family.proposal.facts["accuracy"] = family.solve_rate
    player.game.score(list(families.values()))
    return list(families.values())


@pytest.fixture(scope="module")
def episodes(families):
    return [one for family in families for one in family.episodes]


def test_the_order_is_that_of_the_requests(episodes):
    assert [list(one.id) for one in episodes] == [answer["request"] for answer in STEP["answers"]]


def test_verdicts_are_as_recorded(episodes):
    for one, answer in zip(episodes, STEP["answers"], strict=True):
        assert (one.verdict.status, one.verdict.code) == (answer["status"], answer["code"])
        posed = one.verdict.task
        assert (posed and replace(posed, checks=())) == task_of(answer["posed"])


def test_prices_and_rewards_are_as_recorded(episodes):
    for one, answer in zip(episodes, STEP["answers"], strict=True):
        assert one.facts.get("accuracy") == answer["accuracy"]
        assert one.reward == answer["reward"]


@pytest.mark.parametrize("name", STEP["advantages"])
def test_advantages_are_as_recorded(episodes, name):
    estimator, *tokens = name.split("/")
    config = AdvantageConfig(estimator=estimator, token_weighted=bool(tokens))
    assert open_algorithm(config).advantages(episodes) == STEP["advantages"][name]


@pytest.mark.parametrize("weighting", STEP["weights"])
def test_weights_are_as_recorded(episodes, weighting):
    config = AdvantageConfig(group_weighting=weighting)
    assert token_weights(episodes, config) == STEP["weights"][weighting]
