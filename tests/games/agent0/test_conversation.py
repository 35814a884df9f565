"""Conversations with the tool: what is run, what is shown, what is read as the answer."""

import time

import pytest

from azr_fast.games.agent0.conversation import last_program
from azr_fast.types import Status

from .conftest import ScriptedChat, question

RUN = "I compute it.\n```python\nprint(6 * 7)\n```\n"
ANSWER = r"The answer is \boxed{42}."


def test_a_program_is_run_and_its_output_put_after_it(table):
    chat = ScriptedChat(RUN + "```output\n41\n``` made up", ANSWER)
    verdict = table().solve(chat=chat)
    assert (verdict.status, verdict.code, verdict.answer) == (Status.PASSED, "answered", "42")
    assert verdict.facts == {"calls": 1, "call_errors": 0}
    assert chat.told[-1] == "```output\n42\n```\n"


def test_a_model_that_begins_the_output_itself_gets_the_rest(table):
    chat = ScriptedChat("```python\nprint(6 * 7)\n```output\n41", ANSWER)
    assert table().solve(chat=chat).answer == "42"
    assert chat.told[-1] == "\n42\n```\n"


def test_an_error_is_shown_and_the_conversation_goes_on(table):
    chat = ScriptedChat("```py\nprint(1)\n1 / 0\n```\n", RUN, ANSWER)
    verdict = table().solve(chat=chat)
    assert chat.told[-2] == "```output\n1\nZeroDivisionError: division by zero (line 2)\n```\n"
    assert verdict.facts == {"calls": 2, "call_errors": 1}
    assert verdict.answer == "42"


def test_there_are_at_most_so_many_calls(table):
    """After the last one the model goes on without a stop, and a further program is only text."""
    chat = ScriptedChat(*[RUN] * 4, RUN + ANSWER)
    verdict = table(game__tool_calls=4).solve(chat=chat)
    assert verdict.facts["calls"] == 4
    assert verdict.answer == "42"
    assert [bool(sampling.stop) for sampling in chat.asked] == [True] * 4 + [False]


def test_without_a_tool_nothing_is_run_or_told_of_one(table):
    chat = ScriptedChat(RUN + ANSWER)
    verdict = table(game__tool_calls=0).solve(chat=chat)
    assert (verdict.answer, verdict.facts["calls"]) == ("42", 0)
    assert not chat.asked[0].stop
    assert "python" not in " ".join(chat.told).lower()


def test_a_turn_that_ends_with_a_program_gets_its_output_as_a_message(table):
    chat = ScriptedChat("```python\nprint(6 * 7)\n```", ANSWER)
    assert table().solve(chat=chat).answer == "42"
    assert chat.told[-1] == "```output\n42\n```"


def test_where_the_template_keeps_no_turns_such_a_turn_is_the_end(table):
    chat = ScriptedChat("```python\nprint(6 * 7)\n```", takes_messages=False)
    verdict = table().solve(chat=chat)
    assert (verdict.status, verdict.code) == (Status.MALFORMED, "no_answer")


@pytest.mark.parametrize(
    "texts",
    [
        (r"```python" + "\nprint(r'\\boxed{42}')\n```\n", "That is it."),  # a tool's words
        (r"```python" + "\nx = r'\\boxed{42}'\n```\n", "Done."),  # in a program
        ("I say\n```output\n", "\\boxed{42}\n```\n", "so."),  # an output that it made up
        ("42",),
        ("",),
    ],
)
def test_only_what_the_model_says_itself_is_an_answer(table, texts):
    verdict = table(game__tool_calls=1).solve(*texts)
    assert verdict.answer is None
    assert verdict.code == "no_answer"


def test_an_answer_that_was_cut_off_is_told_apart(table):
    assert table().solve("I think" + ScriptedChat.CUT).code == "truncated"
    assert table().solve(r"\boxed{7} and" + ScriptedChat.CUT).answer == "7"


def test_a_conversation_that_grows_too_long_ends_where_it_is(table):
    verdict = table().solve(chat=ScriptedChat(r"Maybe \boxed{1}." + "\n" + RUN, room=1))
    assert (verdict.answer, verdict.facts["calls"]) == ("1", 1)


def test_a_block_that_is_no_python_is_passed_over(table):
    chat = ScriptedChat("A table:\n```\n", "1 2\n```\n" + RUN, RUN, ANSWER)
    verdict = table().solve(chat=chat)
    assert verdict.facts["calls"] == 1
    assert verdict.answer == "42"
    endless = ScriptedChat(*["```\n1\n```\n"] * 40, room=40)
    assert table().solve(chat=endless).code == "no_answer"
    assert endless.turns > 20  # it was given up


@pytest.mark.parametrize(
    ("said", "program"),
    [
        ("```python\nprint(1)\n```\n", "print(1)"),
        ("```python\na\n```\n```py\nb\n```", "b"),
        ("```python3\na\n\nb\n```  \n", "a\n\nb"),
        ("```python\na\n```output", "a"),
        ("```python\na\n``` and so on", None),
        ("```\na\n```\n", None),
        ("text ```python\na\n```\n", None),
        ("```python\na", None),
        ("", None),
    ],
)
def test_which_program_a_text_ends_with(said, program):
    assert last_program(said) == program


def test_a_labelled_question_is_graded_as_mathematics(table):
    task = question(answer=r"\frac{1}{2}", rate=0.5)
    assert table().solve(r"\boxed{0.5}", task=task).code == "ok"
    wrong = table().solve(r"\boxed{0.6}", task=task)
    assert (wrong.status, wrong.code) == (Status.WRONG, "wrong")
    assert table().solve("no", task=task).status is Status.MALFORMED


def test_outputs_can_be_replaced_by_an_error(table):
    """The control that measures what calls are good for."""
    chat = ScriptedChat(RUN, ANSWER)
    verdict = table(game__tool_output="error").solve(chat=chat)
    assert "42" not in chat.told[-1]
    assert verdict.facts == {"calls": 1, "call_errors": 1}


@pytest.mark.parametrize("form", ["full", "compact"])
@pytest.mark.parametrize("calls", [0, 4])
def test_the_prompt_has_the_question_and_never_its_answer(table, form, calls):
    task = question("What is 3 + 987654320?", answer="987654323", truth="987654323")
    chat = ScriptedChat("?")
    table(game__prompts=form, game__tool_calls=calls).solve(task=task, chat=chat)
    told = "\n".join(chat.told)
    assert "What is 3 + 987654320?" in told
    assert "987654323" not in told
    assert "$" not in told
    assert ("python" in told.lower()) == bool(calls)


def test_looking_for_a_program_takes_no_longer_than_reading():
    began = time.process_time()
    assert last_program("```python\nprint(1)\n```" + " " * 50_000 + "x") is None
    assert last_program("```python\nprint(1)\n```" + " " * 50_000) == "print(1)"
    assert time.process_time() - began < 1
