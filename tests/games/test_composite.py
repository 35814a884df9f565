"""Proposals that must call earlier programs, and their schedule."""

import ast
import random

import pytest

from azr_fast.games.azr.composite import (
    CompositeSource,
    as_function,
    compose,
    composite_share,
    given_functions,
)
from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.refusal import Failed
from azr_fast.types import Source, Status

DOUBLE = "def f(x):\n    return x * 2"
COUNT = "from collections import Counter\ndef f(x):\n    '''Doc.'''\n    return x if x < 2 else f(x - 1) + 1"
GIVEN = {"g_0": "def g_0(x):\n    return x * 2", "g_1": "def g_1(x):\n    return x + 5"}
BOTH = "def f(x):\n    return [g_0(y) for y in range(g_1(x))]"


def test_a_program_becomes_a_function_of_another_name():
    assert as_function(DOUBLE, "g_0") == "def g_0(x):\n    return x * 2"
    given = as_function(COUNT, "g_1")
    assert "g_1(x - 1) + 1" in given
    assert given.startswith("from collections import Counter")
    assert "Doc" not in given


@pytest.mark.parametrize(
    "program",
    [
        "def g(x):\n    return x\ndef f(x):\n    return g(x)",  # its helper may clash with another's
        "LIMIT = 3\ndef f(x):\n    return LIMIT",
        "def f(f):\n    return f",
        "def f(x):\n    f = 3\n    return f",
        "async def f(x):\n    return x",
        f"def f(x):\n    return {'not ' * 900}x",  # which Python parses and cannot write
    ],
)
def test_only_a_lone_function_can_be_given(program):
    assert as_function(program, "g_0") is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("def f(x):\n    return g_0(x) + 1", "composite_unused"),  # g_1 is not called
        ("def f(x):\n    return (g_0, g_1)", "composite_unused"),
        ("def f(x):\n    return x\ndef g_1(x):\n    return g_0(x) + g_1(x)", "composite_unused"),
    ],
)
def test_each_given_program_must_be_called(answer, code):
    with pytest.raises(Failed) as refusal:
        compose(answer, GIVEN)
    assert refusal.value.code == code


@pytest.mark.parametrize("answer", ["def f(x):\n    return g_0(x)", "def f(a, b):\n    '''Doc.'''\n    return g_0(b, a)"])  # fmt: skip
def test_a_program_that_only_calls_a_given_one_is_trivial(answer):
    with pytest.raises(Failed) as refusal:
        compose(answer, {"g_0": GIVEN["g_0"]})
    assert refusal.value.code == "composite_trivial"


def test_what_is_posed_holds_the_given_programs_once():
    copied = f"# mine\n{GIVEN['g_0']}\n\n{BOTH}  # last"
    for answer in (BOTH, copied):
        tree = ast.parse(compose(answer, GIVEN))
        assert [node.name for node in tree.body] == ["g_0", "g_1", "f"]
    assert "# mine" in compose(copied, GIVEN)
    assert "# last" in compose(copied, GIVEN)


def test_a_changed_copy_does_not_replace_the_given_program():
    text = compose(f"@str\ndef g_0(x):\n    return 0\n{BOTH}", GIVEN)
    assert "return 0" not in text
    assert "@str" not in text


@pytest.mark.parametrize(
    ("step", "share"), [(0, 0), (49, 0), (50, 0.05), (54, 0.25), (59, 0.5), (500, 0.5)]
)
def test_the_share_rises_linearly_from_the_first_step_on(step, share):
    config = GameConfig(composite_chance=0.5, composite_start=50, composite_ramp=10)
    assert composite_share(step, config) == pytest.approx(share)


def test_seeding_has_no_composites():
    assert composite_share(0, GameConfig(composite_chance=1.0)) == 0
    assert composite_share(1, GameConfig(composite_chance=1.0)) == 1


@pytest.fixture
def filled(buffer, play):
    for n in range(30):
        program = f"def f(x):\n    return x * {n}"
        if n % 3 == 0:
            program = f"K = {n}\ndef f(x):\n    return x + K"  # cannot be given
        buffer.add(play.triplet("deduction", program, "1", str(n)), 0)
        buffer.add(play.triplet("abduction", program, "1", str(n)), 0)
    buffer.step = 7
    return buffer


def test_sources_have_the_share_and_one_to_three_programs(make_player, filled):
    player = make_player(composite_chance=0.4)
    sources = player.game.sources("abduction", 400, filled, random.Random(1))
    composite = [source for source in sources if isinstance(source, CompositeSource)]
    assert 120 < len(composite) < 200  # 160 expected, standard deviation 10
    counts = {len(source.given) for source in composite}
    assert counts == {1, 2, 3}
    for source in composite:
        assert len(given_functions(source)) == len(source.given)
        assert len({task.payload["program_key"] for task in source.given}) == len(source.given)
    assert len({source.key for source in composite}) == len(composite)


def test_induction_and_seeding_and_the_default_have_none(make_player, filled):
    def composite(player, kind, rng):
        return any(
            isinstance(one, CompositeSource) for one in player.game.sources(kind, 50, filled, rng)
        )

    always, never = make_player(composite_chance=1.0), make_player()
    assert composite(always, "deduction", random.Random(0))
    assert not composite(always, "induction", random.Random(0))
    assert not composite(never, "deduction", random.Random(0))
    filled.step = 0
    assert not composite(always, "deduction", random.Random(0))


@pytest.mark.parametrize("form", ["full", "compact", "compact_thought"])
def test_a_composite_proposal_is_asked_for_posed_and_run(make_player, play, form):
    player = make_player(prompts=form)
    given = tuple(
        play.triplet("deduction", program, "1", "2")
        for program in (DOUBLE, "def f(x):\n    return x + 5")
    )
    source = CompositeSource("deduction", (), 3, given)
    asked = player.proposal_prompt(source).told()
    assert GIVEN["g_0"] in asked
    assert "`g_0`, `g_1`" in asked
    assert "g_0" not in player.proposal_prompt(Source("deduction", (), 3)).told()
    verdict = player.propose(source, play.blocks(python=BOTH, input="1"))
    assert verdict.code == "ok"
    assert verdict.task.payload["output"] == "[0, 2, 4, 6, 8, 10]"
    assert verdict.task.parents == tuple(task.key for task in given)
    solved = player.solve(verdict.task, play.blocks(output="[0, 2, 4, 6, 8, 10]"))
    assert solved.status is Status.PASSED
    refused = player.propose(source, play.blocks(python=DOUBLE, input="1"))
    assert (refused.status, refused.code) == (Status.REJECTED, "composite_unused")
