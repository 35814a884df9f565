"""What a curriculum agent writes, and which of it is a question."""

import random

import pytest

from azr_fast.games.agent0.config import Agent0Section
from azr_fast.games.agent0.questions import Draft, read, task_of
from azr_fast.games.agent0.random_questions import random_question
from azr_fast.types import Status, Verdict

RULES = Agent0Section(max_question_chars=300)
ASKED = "<question>What is 6 times 7?</question>"
PROGRAM = "\n```python\ndef answer():\n    return 6 * 7\n```"


def test_a_question_and_its_answer_are_read_whole():
    said = f"Let me think. <question>draft</question> No.\n{ASKED}\nSo \\boxed{{\\frac{{84}}{{2}}}}"
    assert read(said, RULES) == Draft("What is 6 times 7?", r"\frac{84}{2}", None)


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ("What is 2?", Status.MALFORMED, "no_question"),
        ("<question>What is 2? \\boxed{2}", Status.MALFORMED, "no_question"),
        ("</question>What<question>", Status.MALFORMED, "no_question"),
        (ASKED, Status.MALFORMED, "no_answer"),
        ("\\boxed{42} " + ASKED, Status.MALFORMED, "no_answer"),
        (ASKED + "\\boxed{}", Status.MALFORMED, "no_answer"),
        ("<question> … </question>\\boxed{1}", Status.REJECTED, "empty"),
        (f"<question>{'very ' * 20_000}long?</question>\\boxed{{1}}", Status.REJECTED, "too_long"),
        ("<question>Is $x=\\boxed{3}$?</question>\\boxed{3}", Status.REJECTED, "answer_shown"),
        ("<question>Prove that 2 = 2.</question>\\boxed{2}", Status.REJECTED, "asks_for_proof"),
        ("<question>See ![a](b.png). How long?</question>\\boxed{2}", Status.REJECTED, "not_text"),
        ("<question>[asy]draw((0,0));[/asy] x?</question>\\boxed{2}", Status.REJECTED, "not_text"),
        ("<question>\\includegraphics{x} x?</question>\\boxed{2}", Status.REJECTED, "not_text"),
        ("<question>data:image/png;base64,AAAA x?</question>\\boxed{2}", Status.REJECTED, "not_text"),
        ("", Status.MALFORMED, "no_question"),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused_by_name(said, status, code):
    verdict = read(said, RULES)
    assert isinstance(verdict, Verdict)
    assert (verdict.status, verdict.code) == (status, code)
    assert len(verdict.evidence) <= 500


def test_a_hundred_kilobytes_are_refused_at_once():
    box = "\\boxed{1}"
    assert read(f"<question>{'x' * 100_000}</question>{box}", RULES).code == "too_long"
    assert read("<question>" * 10_000, RULES).code == "no_question"
    assert (
        read("<question>" * 10_000 + "x</question>" + "\\boxed{" * 9000, RULES).code == "no_answer"
    )


def test_equal_questions_are_one_task():
    def key(text):
        return task_of(Draft(text, "1", None), None).key

    assert key("What is  1\n+ 1?") == key("what IS 1 + 1?")
    assert key("What is 1 + 1?") != key("What is 1 + 2?")
    key("\ud800")  # half a character


@pytest.mark.parametrize(
    ("program", "truth"),
    [
        ("def answer():\n    return 6 * 7", "42"),
        ("import numpy as np\ndef answer():\n    return int(np.arange(4).sum())", "6"),
        ("def answer():\n    return ' 1/3 '", "1/3"),
        ("def answer():\n    return 0.5", "0.5"),
    ],
)
def test_a_program_says_the_truth(table, program, truth):
    said = f"{ASKED}\\boxed{{41}}\n```python\n{program}\n```"
    verdict = table(game__programs=True).propose(said)
    assert verdict.status is Status.PASSED
    assert verdict.task.payload == {
        "question": "What is 6 times 7?",
        "setter": "41",
        "truth": truth,
    }


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("def answer():\n    return 1 / 0", "program_error"),
        ("def other():\n    return 1", "program_error"),
        ("def answer(:", "program_error"),
        ("def answer():\n    while True: pass", "program_timeout"),
        ("def answer():\n    return 'x' * 10 ** 9", "program_memory"),
        ("def answer():\n    return 'x' * 201", "program_too_long"),
        ("def answer():\n    return None", "program_no_number"),
        ("def answer():\n    return True", "program_no_number"),
        ("def answer():\n    return [1]", "program_no_number"),
        ("import random\ndef answer():\n    return random.random()", "program_nondeterministic"),
        ("def answer():\n    return hash('a')", "program_nondeterministic"),
    ],
)
def test_a_program_without_an_answer_is_refused_with_the_sandboxs_word(table, program, code):
    verdict = table(game__programs=True).propose(f"{ASKED}\\boxed{{42}}\n```python\n{program}\n```")
    assert (verdict.status, verdict.code) == (Status.REJECTED, code)


def test_a_question_without_the_program_that_was_asked_for_is_malformed(table):
    assert table(game__programs=True).propose(ASKED + "\\boxed{42}").code == "no_program"
    assert table().propose(ASKED + "\\boxed{42}" + PROGRAM).task.payload["truth"] is None


def test_random_questions_are_many_and_true(table):
    drafts = [random_question(random.Random(seed)) for seed in range(200)]
    assert len({draft.question for draft in drafts}) > 190
    known = {draft.question: draft.answer for draft in drafts}
    game = table(game__proposer="random")
    first = game.propose(seed=3).task
    assert first == game.propose(seed=3).task != game.propose(seed=4).task
    assert first.payload["truth"] == known[first.payload["question"]]
    assert len(set(game.game.sources("question", 8, None, random.Random(0)))) == 8
