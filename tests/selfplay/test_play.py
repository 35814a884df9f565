"""A round and the seeding, played with a game of words and an engine that says what a script has.

A proposal names its task, or is "junk"; a solution is "right" or not.
"""

from collections import defaultdict
from itertools import cycle
from types import SimpleNamespace

import pytest

from azr_fast.config.schema import Config, PlayConfig, RewardConfig, SeedingConfig
from azr_fast.rollout.engine import Completion
from azr_fast.rollout.stream import Stream
from azr_fast.selfplay import seeding
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.play import Round, is_priced_answer
from azr_fast.selfplay.types import Judgement, Message, Prompt, Role, Status, Task


class WordGame:
    """A `Game` of two types."""

    kinds = ("a", "b")

    def first_tasks(self):
        return [Task("a", "first", {})]

    def proposal_prompts(self, kind, count, buffer, rng):
        return [Prompt(kind, Role.PROPOSER, (Message("user", f"pose {kind}"),))] * count

    def gate(self, answer):
        if answer.text == "junk":
            return Judgement(Status.REJECTED, "junk")
        return Judgement(Status.PASSED, "ok", task=Task(answer.prompt.kind, answer.text, {}))

    def solve_prompt(self, task):
        return Prompt(task.kind, Role.SOLVER, (Message("user", f"solve {task.key}"),), task=task)

    def grade(self, answer):
        return Judgement(Status.PASSED if answer.text == "right" else Status.WRONG, answer.text)

    def seeds_from(self, task):
        return [task]


class ScriptedEngine:
    """An `Engine` that gives the answers to each prompt in turn, the newest request first."""

    name = "scripted"

    def __init__(self, script):
        self._answers = defaultdict(lambda: cycle(["right"]))
        self._answers.update({prompt: cycle(answers) for prompt, answers in script.items()})
        self._done = []

    def submit(self, request):
        text = next(self._answers["".join(map(chr, request.prompt_ids))])
        ids = tuple(map(ord, text))
        self._done.insert(0, Completion(request.id, ids, (0.0,) * len(ids), truncated=False))

    def poll(self):
        done, self._done = self._done, []
        return done

    def cancel(self):
        self._done = []

    def generated_tokens(self):
        return 0


# One token per character.
RENDERER = SimpleNamespace(
    encode=lambda prompt: tuple(map(ord, prompt.messages[0].content)),
    decode=lambda ids: "".join(map(chr, ids)),
)


def stream_of(script):
    engine = ScriptedEngine(script)
    return Stream(engine, RENDERER, max_prompt_tokens=99, max_new_tokens=9, threads=3)


@pytest.fixture
def buffer():
    buffer = TaskBuffer(":memory:", capacity=100)
    yield buffer
    buffer.close()


def play(buffer, script, duplicate=None, **sizes):
    config = Config(
        play=PlayConfig(**({"proposals": 2, "solves": 2, "price_samples": 2} | sizes)),
        reward=RewardConfig(duplicate=duplicate),
    )
    return Round(WordGame(), buffer, stream_of(script), config, step=1).play()


def fill(buffer, kind, *keys):
    for key in keys:
        buffer.add(Task(kind, key, {}), 0)


def proposals(answers):
    return {
        (one.answer.prompt.kind, one.answer.text): one.stats
        for one in answers
        if one.answer.prompt.role is Role.PROPOSER
    }


def solved_beside_prices(answers):
    """The (type, key) of tasks whose solutions priced no proposal, in order."""
    solved = [one.answer.prompt.task for one in answers if not is_priced_answer(one.answer)]
    return [(task.kind, task.key) for task in solved if task]


def recorded(buffer):
    return dict(buffer._db.execute("SELECT kind || key, accuracy FROM tasks"))


def test_a_new_task_is_priced_by_the_share_of_right_solutions(buffer):
    script = {
        "pose a": ["x", "junk"],
        "pose b": ["y", "z"],
        "solve x": ["right", "wrong", "wrong", "wrong"],
        "solve y": ["wrong"],
    }
    stats = proposals(play(buffer, script, price_samples=4))
    assert stats["a", "x"] == {"new": True, "accuracy": 0.25}
    assert stats["b", "y"] == {"new": True, "accuracy": 0.0}
    assert stats["b", "z"] == {"new": True, "accuracy": 1.0}
    assert stats["a", "junk"] == {}
    assert recorded(buffer) == {"ax": 0.25, "by": 0.0, "bz": 1.0}


def test_a_task_that_nobody_can_be_asked_counts_as_unsolved(buffer):
    long = "x" * 99  # the prompt that shows it is over the limit
    answers = play(buffer, {"pose a": [long, "junk"], "pose b": ["junk"]})
    assert proposals(answers)["a", long] == {"new": True, "accuracy": 0.0}
    assert len(answers) == 4


def test_a_known_task_is_priced_only_where_duplicates_have_no_reward_of_their_own(buffer):
    fill(buffer, "a", "old")
    script = {"pose a": ["old", "x"], "pose b": ["junk"], "solve old": ["wrong"]}
    answers = play(buffer, script, duplicate=-0.5, solves=1)
    assert proposals(answers)["a", "old"] == {"new": False}
    assert (0, 0) not in [one.answer.request for one in answers]
    priced = proposals(play(buffer, script, duplicate=None, solves=1))
    assert priced["a", "old"] == {"new": False, "accuracy": 0.0}
    assert recorded(buffer)["aold"] is None


def test_the_second_proposal_of_a_task_in_one_round_is_a_duplicate(buffer):
    answers = play(buffer, {"pose a": ["x"], "pose b": ["junk"]}, duplicate=-0.5)
    posed = [one.stats for one in answers if one.judgement.task]
    assert posed == [{"new": True, "accuracy": 1.0}, {"new": False}]


def test_a_task_known_to_another_type_takes_no_solve_slot(buffer):
    """It is admitted to its own type, but nothing priced it: its type's budget stays whole."""
    fill(buffer, "b", "twin")
    fill(buffer, "a", "old", "older")
    answers = play(buffer, {"pose a": ["twin"], "pose b": ["junk"]}, duplicate=-0.5)
    assert proposals(answers)["a", "twin"] == {"new": False}
    assert buffer.count("a") == 3
    solved = solved_beside_prices(answers)
    assert sorted(solved) == [("a", "old"), ("a", "older"), ("b", "twin")]


def test_answers_are_ordered_by_request_whatever_finishes_first(buffer):
    fill(buffer, "b", "old")
    answers = play(buffer, {"pose a": ["junk", "x"], "pose b": ["junk"]})
    assert [(one.answer.request, one.answer.prompt.messages[0].content) for one in answers] == [
        ((0,), "pose a"),
        ((1,), "pose a"),
        ((1, 0), "solve x"),
        ((1, 1), "solve x"),
        ((2,), "pose b"),
        ((3,), "pose b"),
        ((4,), "solve old"),
    ]


def test_priced_tasks_count_as_solved(buffer):
    fill(buffer, "a", "old", "older")
    answers = play(buffer, {"pose a": ["x", "junk"], "pose b": ["junk"]})
    (only,) = solved_beside_prices(answers)  # of two: x is the other
    assert only in {("a", "old"), ("a", "older")}


def test_by_the_rule_of_the_paper_fresh_tasks_are_solved_again_and_first(buffer):
    fill(buffer, "a", "old", "older")
    script = {"pose a": ["x", "junk"], "pose b": ["y", "z"]}
    answers = play(buffer, script, train_on_priced_answers=False)
    solved = solved_beside_prices(answers)
    assert ("a", "x") in solved
    assert [kind for kind, _ in solved] == ["a", "a", "b", "b"]
    assert set(solved) > {("b", "y"), ("b", "z")}
    assert sum(is_priced_answer(one.answer) for one in answers) == 6


@pytest.fixture
def seed(buffer, monkeypatch):
    """Seeds the buffers on a clock that each batch moves by a second; returns the batches' types."""

    def run(script, tasks, seconds):
        now, kinds = [0.0], []
        monkeypatch.setattr(seeding, "time", SimpleNamespace(monotonic=lambda: now[0]))

        def on_batch(batch):
            (kind,) = {one.answer.prompt.kind for one in batch}
            kinds.append(kind)
            now[0] += 1.0

        config = Config(seeding=SeedingConfig(tasks=tasks, seconds=seconds, batch=2))
        seeding.seed_buffers(WordGame(), buffer, stream_of(script), config, on_batch)
        return "".join(kinds)

    return run


def test_each_type_is_seeded_within_its_share_of_the_time(seed, buffer):
    assert seed({"pose a": ["junk"], "pose b": ["junk"]}, tasks=5, seconds=6.0) == "aaabbb"
    assert buffer.count("a") == 1  # what needs no model
    assert buffer.count("b") == 0


def test_time_that_a_type_leaves_goes_to_the_next(seed, buffer):
    names = [f"n{i}" for i in range(20)]
    assert seed({"pose a": names, "pose b": ["junk"]}, tasks=5, seconds=6.0) == "aabbbb"
    assert buffer.count("a") == 5
    assert recorded(buffer)["an0"] is None  # seeds are not priced


def test_full_buffers_end_the_seeding(seed, buffer):
    names = [f"n{i}" for i in range(20)]
    assert seed({"pose a": names, "pose b": names}, tasks=4, seconds=60.0) == "aabb"
    assert (buffer.count("a"), buffer.count("b")) == (5, 4)
