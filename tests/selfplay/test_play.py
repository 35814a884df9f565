"""A round and the seeding, played with a game of words and an engine that says what a script has.

A proposal names its task, or is "junk"; a solution is "right" or not.
"""

import asyncio
from contextlib import closing
from itertools import count

import pytest

from azr_fast.config.schema import Config, PlayConfig, SeedingConfig
from azr_fast.rollout.decoder import Decoder
from azr_fast.rollout.episodes import Episodes
from azr_fast.selfplay import seeding
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.play import Round
from azr_fast.types import Sampling, Task

from .word_game import RENDERER, ScriptedEngine, WordGame


@pytest.fixture
def episodes_of():
    with asyncio.Runner() as runner:
        yield lambda script, order=0: Episodes(
            Decoder(ScriptedEngine(script, order), runner), RENDERER, Sampling(9), 99
        )


@pytest.fixture
def buffer():
    buffer = TaskBuffer(":memory:", capacity=100)
    yield buffer
    buffer.close()


@pytest.fixture
def play(buffer, episodes_of):
    """Plays a round with a script; returns its episodes."""

    def families(script, prices_known_tasks=True, order=0, **sizes):
        sizes = {"proposals": 2, "solves": 2, "price_samples": 2} | sizes
        episodes = episodes_of(script, order)
        game, config = WordGame(prices_known_tasks), Config(play=PlayConfig(**sizes))
        return episodes.decoder.run(Round(game, buffer, episodes, config, step=1).play())

    return families


def fill(buffer, kind, *keys):
    for key in keys:
        buffer.add(Task(kind, key, {}), 0)


def proposals(families):
    """The facts of each proposal, by its type and what it says."""
    posed = [family.proposal for family in families if family.proposal]
    return {(one.kind, one.messages[-1].content): one.facts for one in posed}


def solved_beside_prices(families):
    """The (type, key) of tasks whose solutions priced no proposal, in order."""
    return [(f.task.kind, f.task.key) for f in families if not f.proposal]


def recorded(buffer):
    return dict(buffer._db.execute("SELECT kind || key, accuracy FROM tasks"))


def test_a_new_task_is_priced_by_the_share_of_right_solutions(play, buffer):
    script = {
        "pose a": ["x", "junk"],
        "pose b": ["y", "z"],
        "solve x": ["right", "wrong", "wrong", "wrong"],
        "solve y": ["wrong"],
    }
    facts = proposals(play(script, price_samples=4))
    assert facts["a", "x"] == {"new": True, "accuracy": 0.25}
    assert facts["b", "y"] == {"new": True, "accuracy": 0.0}
    assert facts["b", "z"] == {"new": True, "accuracy": 1.0}
    assert facts["a", "junk"] == {}
    assert recorded(buffer) == {"ax": 0.25, "by": 0.0, "bz": 1.0}


def test_a_task_that_nobody_can_be_asked_counts_as_unsolved(play):
    long = "x" * 99  # the prompt that shows it is over the limit
    families = play({"pose a": [long, "junk"], "pose b": ["junk"]})
    assert proposals(families)["a", long] == {"new": True, "accuracy": 0.0}
    assert [one.verdict.code for one in families[0].solves] == ["prompt_too_long"] * 2
    assert all(one.failed and not one.length for one in families[0].solves)


def test_a_known_task_is_priced_only_where_the_game_wants_it(play, buffer):
    fill(buffer, "a", "old")
    script = {"pose a": ["old", "x"], "pose b": ["junk"], "solve old": ["wrong"]}
    families = play(script, prices_known_tasks=False, solves=1)
    assert proposals(families)["a", "old"] == {"new": False}
    assert families[0].solves == []
    priced = proposals(play(script, solves=1))
    assert priced["a", "old"] == {"new": False, "accuracy": 0.0}
    assert recorded(buffer)["aold"] is None


def test_the_second_proposal_of_a_task_in_one_round_is_a_duplicate(play):
    families = play({"pose a": ["x"], "pose b": ["junk"]}, prices_known_tasks=False)
    posed = [f.proposal.facts for f in families if f.proposal and f.task]
    assert posed == [{"new": True, "accuracy": 1.0}, {"new": False}]


def test_a_task_known_to_another_type_takes_no_solve_slot(play, buffer):
    """It is admitted to its own type, but nothing priced it: its type's budget stays whole."""
    fill(buffer, "b", "twin")
    fill(buffer, "a", "old", "older")
    families = play({"pose a": ["twin"], "pose b": ["junk"]}, prices_known_tasks=False)
    assert proposals(families)["a", "twin"] == {"new": False}
    assert buffer.count("a") == 3
    solved = solved_beside_prices(families)
    assert sorted(solved) == [("a", "old"), ("a", "older"), ("b", "twin")]


def test_families_are_ordered_by_request_whatever_ends_first(play, buffer):
    fill(buffer, "b", "old")
    families = play({"pose a": ["junk", "x"], "pose b": ["junk"]}, order=1)
    episodes = [one for family in families for one in family.episodes]
    assert [(one.id, one.messages[0].content) for one in episodes] == [
        ((0,), "pose a"),
        ((1,), "pose a"),
        ((1, 0), "solve x"),
        ((1, 1), "solve x"),
        ((2,), "pose b"),
        ((3,), "pose b"),
        ((4,), "solve old"),
    ]


def test_a_step_is_the_same_whichever_episode_ends_first(episodes_of):
    script = {
        "pose a": ["x", "junk", "x", "y"],
        "pose b": ["x", "z", "w", "junk"],
        "solve x": ["right", "wrong"],
        "solve old": ["wrong", "right", "right"],
    }
    played = []
    for order in range(20):
        with closing(TaskBuffer(":memory:", capacity=100)) as buffer:
            fill(buffer, "a", "old", "older", "oldest")
            config = Config(play=PlayConfig(proposals=4, solves=3, price_samples=3))
            episodes = episodes_of(script, order)
            round_ = Round(WordGame(), buffer, episodes, config, step=1)
            played.append((episodes.decoder.run(round_.play()), recorded(buffer)))
    assert all(one == played[0] for one in played)


def test_priced_tasks_count_as_solved(play, buffer):
    fill(buffer, "a", "old", "older")
    (only,) = solved_beside_prices(play({"pose a": ["x", "junk"], "pose b": ["junk"]}))
    assert only in {("a", "old"), ("a", "older")}  # of two: x is the other


def test_by_the_rule_of_the_paper_fresh_tasks_are_solved_again_and_first(play, buffer):
    fill(buffer, "a", "old", "older")
    script = {"pose a": ["x", "junk"], "pose b": ["y", "z"]}
    families = play(script, train_on_priced_answers=False)
    solved = solved_beside_prices(families)
    assert ("a", "x") in solved
    assert [kind for kind, _ in solved] == ["a", "a", "b", "b"]
    assert set(solved) > {("b", "y"), ("b", "z")}
    assert sum(len(family.solves) for family in families if family.proposal) == 6


@pytest.fixture
def seed(buffer, episodes_of):
    """Seeds the buffers; returns the batches' types and sizes."""

    def run(script, tasks, proposals):
        batches = []

        def on_batch(families):
            (kind,) = {family.proposal.kind for family in families}
            batches.append(f"{kind}{len(families)}")

        config = Config(seeding=SeedingConfig(tasks=tasks, proposals=proposals, batch=2))
        seeding.seed_buffers(WordGame(), buffer, episodes_of(script), config, on_batch)
        return batches

    return run


def test_each_type_is_asked_for_so_many_proposals(seed, buffer):
    asked = seed({"pose a": ["junk"], "pose b": ["junk"]}, tasks=5, proposals=5)
    assert asked == ["a2", "a2", "a1", "b2", "b2", "b1"]
    assert buffer.count("a") == 1  # what needs no model
    assert buffer.count("b") == 0


def test_full_buffers_end_the_seeding(seed, buffer):
    names = map("n{}".format, count())
    asked = seed({"pose a": names, "pose b": names}, tasks=4, proposals=60)
    assert asked == ["a2", "a2", "b2", "b2"]
    assert (buffer.count("a"), buffer.count("b")) == (5, 4)
    assert recorded(buffer)["an0"] is None  # seeds are not priced


def test_known_tasks_are_solved_where_there_is_nothing_to_propose_from(buffer, episodes_of):
    class Speechless(WordGame):
        def sources(self, kind, count, tasks, rng):
            return []

    fill(buffer, "a", "old")
    episodes = episodes_of({})
    families = episodes.decoder.run(Round(Speechless(), buffer, episodes, Config(), step=1).play())
    assert [family.task.key for family in families] == ["old"]
