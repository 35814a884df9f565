"""Programs of executors in the real sandbox, hostile ones among them."""

import asyncio

import pytest

from azr_fast.config.load import load_config
from azr_fast.config.schema import SandboxConfig
from azr_fast.errors import UserError
from azr_fast.games.agent0.tool import Session, Tool, cut
from azr_fast.sandbox.client import AsyncClient
from azr_fast.sandbox.launcher import IMPORTS_POOL, open_sandbox


@pytest.fixture(scope="module")
def run(client):
    """Runs programs one after the other in one conversation; returns what was shown."""
    with asyncio.Runner() as runner:
        programs = AsyncClient(client.path, client.limits)

        def play(*scripts, **keys):
            rules = load_config("agent0-cpu", {f"game.{k}": v for k, v in keys.items()}).game
            session = Session(Tool(programs, client.limits, rules, IMPORTS_POOL))

            async def everything():
                return [await session.run(script) for script in scripts]

            return [output.text for output in runner.run(everything())]

        yield play
        runner.run(programs.close())


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("print(6 * 7)", "42"),
        ("import numpy as np\nprint(np.arange(4).sum())", "6"),
        ("import sympy\nprint(sympy.factor('x**2 - 1'))", "(x - 1)*(x + 1)"),
        ("x = 1", "(it printed nothing)"),
        ("print(1", "SyntaxError: '(' was never closed (<program>, line 1) (line 1)"),
        ("while True: pass", "TimeoutError: stopped after 2 s"),
        ("x = [0] * 10 ** 10", "MemoryError: more than 512 MiB"),
        ("import socket\nsocket.socket()", "PermissionError: "),
        ("print(chr(0xd800))", "UnicodeEncodeError: "),
        ("print('\ud800')", "?"),
        ("exit(3)", "SystemExit: 3 (line 1)"),
        ("raise KeyError", "KeyError: "),
    ],
)
def test_output_or_error_is_shown(run, program, shown):
    assert run(program)[0].startswith(shown)


def test_a_gigabyte_of_output_is_stopped_and_little_of_it_shown(run):
    (text,) = run("while True: print('a' * 100)", output_chars=300)
    assert text.endswith("OutputError: stopped after 64 KiB of output")
    assert len(text) < 450
    assert "characters left out" in text


def test_a_long_output_loses_its_middle():
    assert cut("abcdefghij", 10) == "abcdefghij"
    assert cut("abcdefghij", 5) == "abc\n[5 characters left out]\nij"


def test_a_stateless_tool_forgets(run):
    assert run("x = 5", "print(x)")[1].startswith("NameError: name 'x' is not defined (line 1)")


def test_a_stateful_tool_remembers_and_prints_nothing_twice(run):
    shown = run(
        "import math\nprint('first')\nx = math.pi",
        "def f(n):\n    return x * n\nprint('second')\ny = 2\n1 / 0\ny = 3",
        "print(round(f(2), 2), y)\nz = undefined",
        tool_memory="stateful",
    )
    assert shown[0] == "first"
    assert shown[1] == "second\nZeroDivisionError: division by zero (line 5)"
    assert shown[2] == "6.28 2\nNameError: name 'undefined' is not defined (line 2)"


def test_what_was_stopped_is_not_run_again(run):
    shown = run("while True: pass", "print('on')", tool_memory="stateful")
    assert shown == ["TimeoutError: stopped after 2 s", "on"]
    shown = run("x = 1\nexit()", "print(x)", tool_memory="stateful")
    assert shown[1] == "1"


def test_earlier_programs_are_replayed_with_the_numbers_that_they_drew(run):
    draw = "import random\nx = random.random()\nprint(x)"
    first, second = run(draw, "print(x)", tool_memory="stateful")
    assert first == second
    assert run(draw)[0] == first


def test_a_package_that_is_not_here_is_refused_by_name():
    for name in ("no_such_package", "os.path; x", ""):
        with pytest.raises(UserError, match=r"sandbox\.imports"):
            open_sandbox(SandboxConfig(imports=(name,)))
