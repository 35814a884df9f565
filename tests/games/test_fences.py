"""Which text is a fence or a tag, and which is only content."""

import ast
import itertools
import re
import sys

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from azr_fast.games.azr import fences, parse
from azr_fast.games.azr.refusal import Malformed

PROGRAM = "def f(x):\n    return x + 1"
CODE = f"```python\n{PROGRAM}\n```"
INPUT = "```input\n41\n```"


def read(text):
    return parse.read_program_and_input(text, False)


def fenced(label, text, fence="```"):
    return f"{fence}{label}\n{text}\n{fence}"


def refusal(text):
    with pytest.raises(Malformed) as refused:
        read(text)
    return refused.value.code


EXAMPLES = [
    'def f(x):\n    """Doubles x.\n\n    ```\n    f(2) -> 4\n    ```\n    """\n    return x * 2',
    'def f(x):\n    """Doubles x.\n\n    ```python\n    f(2)\n    ```\n    """\n    return x * 2',
    '"""\n```\nf(2)\n```\n\n```input\n2\n```\n"""\ndef f(x):\n    return x',
    "def f(x):\n    s = '''\n~~~\n```\n'''\n    return s + x",
    "def f(x):\n    # such as ```x```\n    return x  # or ```\n",
    "def f(x):\n    return '```' + x + '<answer>' + \"</answer></think><think>\"",
    "def f(x):\n    return x  # </think> <answer>",
    'def f(x):\n    """It isn\'t \\""" a fence:\n```\n"""\n    return "#" + x',
    "def f(x):\n    return 'a\\\n```\\\n' + x",
    "def f(x):\n    return r'''\\\n```\n''' + x",
    "def f(x):\n    return '\x0b\x0c\x1c\x85\u2028```\u2028' + x",
    "def f(x):\n\treturn (x -\n~~~\nx)\x0c",
]


@pytest.mark.parametrize("program", [program.strip("\n") for program in EXAMPLES])
@pytest.mark.parametrize("fence", ["```", "````", "~~~~"])
@pytest.mark.parametrize("frame", ["{}", "<think>\nhm</think>\n<answer>\n{}\n</answer>"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_fences_and_tags_inside_a_program_are_content(program, fence, frame, end):
    ast.parse(program)
    for order in itertools.permutations([fenced("python", program, fence), INPUT]):
        text = frame.format("\n".join(order)).replace("\n", end)
        assert read(text) == (program, "41")


def test_a_forgotten_fence_after_a_program_with_fences_in_it():
    program = EXAMPLES[0]
    assert read(f"```input\n'```'\n```python\n{program}\n```") == (program, "'```'")
    assert read(f"```python\n{program}\n{INPUT}") == (program, "41")
    assert read(f"```python\n{program}```\nand so\n{INPUT}") == (program, "41")
    assert read(f"```input\n'<answer>'\n```python\n{program}\n```") == (program, "'<answer>'")


@pytest.mark.parametrize("value", ["'''\n```\n'''", '"""```input\n1\n```"""', "'</answer>'"])
def test_fences_and_tags_inside_an_input_or_an_output_are_content(value):
    assert read(f"{fenced('input', value)}\n{CODE}") == (PROGRAM, value)
    answer = f"<answer>{fenced('output', value)}</answer>"
    assert parse.read_block(answer, False, "output") == value


@pytest.mark.parametrize(
    "info",
    ["python", " python", "Python3", "py", 'python title="x"', "{.python}", "{ .python #id }",
     "python \t", "PYTHON,norun"],
)  # fmt: skip
@pytest.mark.parametrize("fence", ["```", "~~~", "`````", "~~~~"])
def test_info_strings_and_characters(info, fence):
    assert read(f"{fenced(info, PROGRAM, fence)}\n{fenced('input', '41', fence)}") == (
        PROGRAM,
        "41",
    )


@pytest.mark.parametrize(
    "text",
    [
        f"  ```python\n{PROGRAM}\n ```   \n   ```input\n   41\n   ```\t",  # up to three spaces
        "   ```python\n   def f(x):\n       return x + 1\n```\n" + INPUT,
        "1. It:\n\n   ```python\n   def f(x):\n       return x + 1\n   ```\n"
        "2. And:\n\n   ```input\n   41\n   ```",
        f"```python\n{PROGRAM}\n`````\n{INPUT}",  # a longer fence closes
        f"```python\n{PROGRAM}\n    ```\n{INPUT}",  # an indented one after all the code, too
        f"```note\n~~~\n````\n{CODE}\n{INPUT}",
        f"````text\n{fenced('input', '0')}\n````\n{CODE}\n{INPUT}",
        f"{CODE}\n{INPUT}\n````text\nYou may also try\n{fenced('input', '0')}\n````",
        f"Indented code:\n\n    ```input\n    0\n    ```\n\n{CODE}\n{INPUT}",
        f"> ```input\n> 0\n> ```\n\n{CODE}\n{INPUT}",  # quoted lines
        f"```x = 1``` is no fence\n{CODE}\n{INPUT}",
        f"<answer>\n{CODE}\n{INPUT}\n</answer>\n```\n",
        f"```xml\n<answer>\n{CODE}\n{INPUT}\n</answer>\n```",
        f"<think>```\nI write <answer>\n</think>\n<answer>{CODE}\n{INPUT}</answer>",
        f"<think>I close it by '</think>', then</think>{CODE}\n{INPUT}",
        f"<think>```python\nx = '''\n</think>\n<answer>\n{CODE}\n{INPUT}\n</answer>",
    ],
)
def test_fences_have_a_place_a_character_a_length_and_a_match(text):
    assert read(text) == (PROGRAM, "41")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"````python\n{PROGRAM}\n```", "no_answer"),  # too short to close
        (f"~~~python\n{PROGRAM}\n```", "no_answer"),
        (f"``python\n{PROGRAM}\n``", "no_answer"),
        (f"Here: ```python\n{PROGRAM}\n```\n{INPUT}", "no_program"),  # not on its own line
        (f"> {CODE}\n{INPUT}", "no_program"),
        (f"- ```python\n{PROGRAM}\n```\n{INPUT}", "no_program"),
        (f"{CODE}\n````input\n41\n```", "no_input"),
        (f"{CODE}\n```input\n41\n</answer>", "no_input"),
    ],
)
def test_what_is_no_fence(text, code):
    assert refusal(text) == code


@pytest.mark.parametrize("indent", ["    ", "\t", "        "])
def test_an_answer_indented_as_a_whole_is_read_without_its_indentation(indent):
    text = re.sub("(?m)^", indent, f"{CODE}\n{INPUT}")
    assert read(text) == (PROGRAM, "41")
    assert read(f"- My answer:\n\n{text}") == (PROGRAM, "41")
    assert refusal("> " + text.replace("\n", "\n> ")) == "no_answer"


@pytest.mark.parametrize("wrap", ["````", "~~~~markdown", "```markdown"])
def test_an_answer_wrapped_as_a_whole_is_read(wrap):
    assert read(f"{wrap}\n{CODE}\n{INPUT}\n{wrap[:4].strip('m')}") == (PROGRAM, "41")


def test_a_message_is_text():
    message = 'It\'s </answer>, """ and\n    ```\n    code\n    ```\nor ``` at an end```\nfine'
    text = f"<answer>{fenced('message', message)}\n{INPUT}</answer>"
    assert parse.read_inputs_and_message(text, False) == (["41"], message)


# --- any program, any text ----------------------------------------------------------------------

INSIDES = st.sampled_from(
    ["```", "```\n", "\n```\n", "\n```python\n", "\n~~~\n", "\n    ```\n", "`", "<answer>",
     "</answer>", "<think>", "</think>", "#", "'", '"', "\\", "\n", "x", "\u2028", "{.python}"]
)  # fmt: skip
INSIDE = st.lists(INSIDES, max_size=12).map("".join)


def spelled(inside):
    """Ways to write a text as a literal: on one line, over several lines, raw."""
    escaped = inside.replace("\\", "\\\\")
    several = escaped.replace('"', '\\"')
    ways = [repr(inside), f'"""{several}"""', "'''" + escaped.replace("'", "\\'") + "'''"]
    if "'" not in inside and "\\" not in inside:
        ways.append(f"r'''{inside}'''")
    return st.sampled_from(ways)


PROGRAMS = st.builds(
    "def f(x):\n    {}\n    y = {}  # {}\n    return y + x".format,
    INSIDE.flatmap(spelled),
    INSIDE.flatmap(spelled),
    INSIDE.map(lambda text: text.replace("\n", " ")),
)


@given(PROGRAMS, st.sampled_from(["```", "~~~", "````"]), st.booleans(), st.booleans())
def test_any_valid_program_is_read_back_from_any_fence(program, fence, tagged, forgotten):
    code = fenced("python", program, fence)
    if forgotten:
        code = code.removesuffix("\n" + fence)
    text = f"{code}\n{fenced('input', '41', fence)}"
    assert read(f"<answer>\n{text}\n</answer>" if tagged else text) == (program, "41")


@given(
    st.one_of(st.text(), INSIDE),
    st.sampled_from("`~"),
    st.sampled_from(["python", "output", "message"]),
)
@example('"""', "`", "python")
@example("'\\", "`", "output")
def test_any_text_is_read_back_from_a_fence_longer_than_those_inside(text, character, label):
    text = re.sub("\r\n?", "\n", text).strip("\n")
    inside = re.findall(f"{character}+", text)
    fence = character * max(3, *(len(run) + 1 for run in inside), 0)
    found = fences.blocks_and_tags(f"so\n{fenced(label, text, fence)}\n{INPUT}")
    assert found == [fences.Block(label, text), fences.Block("input", "41")]


@given(st.lists(st.one_of(INSIDES, st.sampled_from([CODE, INPUT, "\n", " "]))).map("".join))
def test_where_some_end_makes_the_first_block_python_the_one_taken_does(rest):
    text = f"```python\nx = 1\n{rest}"
    assume("\n~~~" not in text)  # which are operators, too
    begin = len("```python\n")
    ends = re.finditer(r"(^```[^`\n]*|```)$", text[begin:], re.MULTILINE)
    bodies = [text[begin:][: end.start()] for end in ends]
    found = fences.blocks_and_tags(text)
    first = found[0].text if found and isinstance(found[0], fences.Block) else None
    if any(map(fences.is_python, bodies)) and not re.search("</?(think|answer)>", text):
        assert first is not None
        assert fences.is_python(first)


# --- work ---------------------------------------------------------------------------------------

HOSTILE = {
    "closing": "```\n",
    "opening": "```python\n",
    "labelled": "```python\n```input\n",
    "tails": "```python\nx```\n",
    "both": "```python\n~~~input\n",
    "strings": '```python\n"""\n```\n',
    "escapes": '```python\n\\"""\n```\n',
    "quotes": "```output\n'\\'\n```\n",
    "backslashes": "```output\n'\\\n```\n",
    "tags": "```python\n<answer>\n</answer>\n",
    "long": "`" * 50,
    "spaces": "``` " + " " * 20,
    "apostrophes": "'\\'" * 20,
    "unclosed": '```python\n"""<think>\n',
}


class Work:
    """Counts the calls made while a text is read, of Python and of C functions, the characters
    given to Python's parser and those in which strings were looked for."""

    def __init__(self, text, monkeypatch):
        self.done = 0
        self._parse, self._quoted = ast.parse, fences._QUOTED
        with monkeypatch.context() as patch:
            patch.setattr(ast, "parse", self.parse)
            patch.setattr(fences, "_QUOTED", self)
            sys.setprofile(self.count)
            try:
                read(text)
            except Malformed:
                pass
            finally:
                sys.setprofile(None)

    def count(self, _frame, event, _argument):
        self.done += event in ("call", "c_call")

    def parse(self, source, *arguments):
        self.done += len(source)
        return self._parse(source, *arguments)

    def finditer(self, text, begin):
        for match in self._quoted.finditer(text, begin):
            self.done += match.end() - begin
            begin = match.end()
            yield match
        self.done += len(text) - begin


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_the_work_grows_no_faster_than_the_text(piece, monkeypatch):
    size = 8_000 // len(piece)
    once, four_times = (Work(piece * n, monkeypatch).done for n in (size, 4 * size))
    assert four_times <= 4.5 * once + 2000
    assert four_times <= 80 * len(piece * 4 * size)


def test_ever_shorter_fences_that_nothing_closes(monkeypatch):
    def text(longest):
        return "".join("`" * n + "python\n" for n in range(longest, 2, -1))

    once, four_times = (Work(text(n), monkeypatch).done for n in (60, 120))  # a fourfold length
    assert four_times <= 4.5 * once


def test_eight_thousand_fences_before_an_answer():
    assert read("```python\n```\n" * 4000 + f"{CODE}\n{INPUT}") == (PROGRAM, "41")
