import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from azr_fast.games.azr import parse
from azr_fast.games.azr.refusal import Malformed

PROGRAM = "def f(x):\n    return x + 1"
CODE = f"```python\n{PROGRAM}\n```"
INPUT = "```input\n41\n```"


def read(text, truncated=False):
    return parse.read_program_and_input(text, truncated)


def code_of(reader, *arguments):
    with pytest.raises(Malformed) as refusal:
        reader(*arguments)
    return refusal.value.code


@pytest.mark.parametrize(
    "text",
    [
        f"{CODE}\n{INPUT}",
        f"{INPUT}\n{CODE}",
        f"Sure!\n\n{CODE}\nand\n{INPUT}\nthere you are",
        f"<answer>{CODE}\n{INPUT}</answer>",
        f"<answer>\n{INPUT}\n{CODE}\n</answer>",
        f"<think>hm</think><answer>\n{CODE}\n{INPUT}\n</answer>",
        f"<think>hm\n</think>\n{CODE}\n{INPUT}",
        f"<think>\nno end <answer>\n{CODE}\n{INPUT}\n</answer>",
        f"```py\n{PROGRAM}\n```\n``` input\n41\n```",
        f"```Python\n{PROGRAM}```\n```INPUT\n41```",
        f"```python\n{PROGRAM}\n```input\n41\n```",
        f"{CODE}\n{INPUT}".replace("\n", "\r\n"),
        f"```\njust a note\n```\n{CODE}\n{INPUT}",
    ],
)
def test_every_order_and_frame_of_an_answer_reads_the_same(text):
    assert read(text) == (PROGRAM, "41")


def test_the_last_complete_answer_counts():
    draft = "<answer>\n```python\ndef f(x): return 0\n```\n```input\n0\n```\n</answer>"
    assert read(f"{draft}\nNo, better:\n<answer>{CODE}\n{INPUT}</answer>") == (PROGRAM, "41")
    assert read(f"<answer>{CODE}\n{INPUT}</answer> so <answer></answer>") == (PROGRAM, "41")
    assert read(f"<answer>{CODE}\n{INPUT}</answer>\n<answer>\n```python\ncut off") == (
        PROGRAM,
        "41",
    )


def test_blocks_of_a_thought_are_no_answer():
    thought = "<think>```python\ndef f(x): return 0\n```\n```input\n0\n```"
    assert code_of(read, thought) == "no_answer"
    assert code_of(read, thought + "</think>I give up") == "no_answer"
    assert read(f"{thought}</think>{CODE}\n{INPUT}") == (PROGRAM, "41")


def test_a_draft_before_the_answer_is_passed_over():
    assert read(f"```python\ndef f(x): return 0\n```\nOr:\n{CODE}\n{INPUT}") == (PROGRAM, "41")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no_answer"),
        ("def f(x): return x", "no_answer"),
        ("<answer>nothing fenced</answer>", "no_answer"),
        (f"<answer>{CODE}\n{INPUT}", "no_answer"),  # a tag was opened and never closed
        (CODE, "no_input"),
        (INPUT, "no_program"),
        ("```output\n3\n```", "no_program"),
        ("```python\ndef f(x):", "no_answer"),
    ],
)
def test_what_is_missing_is_named(text, code):
    assert code_of(read, text) == code
    assert code_of(read, text, True) == "truncated"


def test_an_answer_that_never_ended_does_not_count():
    assert code_of(read, f"<answer>{CODE}\n{INPUT}</answer> and so on and so", True) == "truncated"


def test_solver_parts():
    assert parse.read_block("```output\n[1]\n```", False, "output") == "[1]"
    assert code_of(parse.read_block, INPUT, False, "output") == "no_output"
    assert code_of(parse.read_block, INPUT, False, "python") == "no_program"
    assert parse.read_block("```output\n1\n```\n```output\n2\n```", False, "output") == "2"


def test_inputs_and_message():
    text = "```message\nm\n```\n```input\n1\n```\n```input\n2\n3\n```"
    assert parse.read_inputs_and_message(text, False) == (["1", "2\n3"], "m")
    assert code_of(parse.read_inputs_and_message, "```input\n1\n```", False) == "no_message"
    assert code_of(parse.read_inputs_and_message, "```message\n1\n```", False) == "no_input"


def test_odd_separators_inside_a_string_do_not_break_lines():
    program = "def f(x):\n    return x + '\x0b\x1c\u2028'"
    assert read(f"```python\n{program}\n```\n{INPUT}") == (program, "41")


PIECES = st.sampled_from(
    ["```python\n", "```input\n", "```output\n", "```message\n", "```", "\n", "<answer>", "</answer>",
     "<think>", "</think>", "def f(x):", "1", " ", "'"]
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join))


@given(TEXTS, st.booleans())
@example("```", False)
@example("</answer></answer>", False)
def test_no_text_breaks_the_parser(text, truncated):
    readers = [
        parse.read_program_and_input,
        parse.read_inputs_and_message,
        lambda text, truncated: parse.read_block(text, truncated, "output"),
        lambda text, truncated: parse.read_block(text, truncated, "python"),
    ]
    codes = {refused(reader, text, truncated) for reader in readers}
    assert codes <= {
        None, "no_answer", "no_program", "no_input", "no_output", "no_message", "truncated"
    }  # fmt: skip


def refused(reader, text, truncated):
    try:
        reader(text, truncated)
    except Malformed as refusal:
        return refusal.code


@given(st.text(), st.lists(PIECES, max_size=10).map("".join))
def test_a_well_formed_answer_is_read_back_after_any_thought(chatter, thought):
    answer = f"<think>{chatter}{thought}</think>\n<answer>\n{INPUT}\n{CODE}\n</answer>"
    assert read(answer) == (PROGRAM, "41")
