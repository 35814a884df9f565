"""Options under which the game does as the paper's code does; docs/azr-paper.md lists them."""

from dataclasses import replace

import pytest

from azr_fast.games.azr.tasks import identity
from azr_fast.types import Source, Status

PROGRAM = "def f(x):\n    return x * 3"


@pytest.fixture(scope="module")
def answer():
    return f"```python\n{PROGRAM}\n```\n```input\n5\n```"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<think>\nHm.</think>\n<answer>{}</answer>", "ok"),
        ("<think>a</think>b<think>c</think> <answer>{}</answer>", "ok"),
        ("{}", "no_tags"),
        ("<answer>{}</answer>", "no_tags"),
        ("<think>Hm.\n<answer>{}</answer>", "no_tags"),
        ("<think>Hm.</think>{}", "no_tags"),
        ("<think>Hm.</think><answer>{}", "no_tags"),
        ("<answer>{}</answer><think>Hm.</think>", "no_tags"),
        ("<think>Hm.</think><answer>nothing</answer>", "no_answer"),
    ],
)
def test_tags_are_required_on_demand(make_player, answer, text, code):
    verdict = make_player(require_tags=True).propose(Source("deduction"), text.format(answer))
    assert verdict.code == code
    assert (verdict.status is Status.MALFORMED) == (code != "ok")
    lenient = make_player().propose(Source("deduction"), answer)
    assert lenient.code == "ok"


def test_solvers_need_their_tags_too(make_player, play):
    task = play.triplet("deduction", PROGRAM, "5", "15")
    player = make_player(require_tags=True)
    right = play.blocks(output="15")
    assert player.solve(task, right).code == "no_tags"
    assert player.solve(task, f"<think>.</think><answer>{right}</answer>").status is Status.PASSED


def test_an_answer_that_was_cut_off_counts_on_demand(make_player, play):
    task = play.triplet("deduction", PROGRAM, "5", "15")
    right = play.blocks(output="15") + "\nAnd now I ramble on and"
    lenient = make_player(refuse_truncated=False)
    assert lenient.solve(task, right, truncated=True).status is Status.PASSED
    assert lenient.solve(task, "```output\n1", truncated=True).status is Status.MALFORMED
    assert make_player().solve(task, right, truncated=True).code == "truncated"


@pytest.mark.parametrize(
    ("kept", "expected"), [("first", ["1", "2", "3"]), ("last", ["3", "4", "5"])]
)
def test_of_too_many_inputs_the_first_or_the_last_count(make_player, play, kept, expected):
    player = make_player(pairs=3, inputs_kept=kept)
    about = play.triplet("deduction", PROGRAM, "5", "15")
    text = "\n".join(f"```input\n{n}\n```" for n in range(1, 6)) + "\n```message\nHm.\n```"
    task = player.propose(Source("induction", (about,)), text).task
    assert [given for given, _ in task.payload["pairs"]] == expected


def keys(player, play, *proposals):
    """How many different tasks proposals (program, input) are."""
    verdicts = [
        player.propose(Source("deduction"), play.blocks(python=program, input=given))
        for program, given in proposals
    ]
    return len({verdict.task.key for verdict in verdicts})


@pytest.mark.parametrize(
    ("novelty", "inputs", "names"), [("program", 1, 3), ("example", 2, 3), ("shape", 1, 1)]
)
def test_what_makes_a_task_new_is_chosen(make_player, play, novelty, inputs, names):
    player = make_player(novelty=novelty)
    assert keys(player, play, (PROGRAM, "5"), (PROGRAM, "6")) == inputs
    renamed = "def f(number):\n    return number * 3"
    lifted = "def f(x):\n    return x * 8"
    assert keys(player, play, (PROGRAM, "5"), (renamed, "5"), (lifted, "5")) == names
    assert keys(player, play, (PROGRAM, "5"), ("def f(x):\n    return x + 3", "5")) == 2


@pytest.mark.parametrize("novelty", ["program", "example", "shape"])
def test_first_tasks_are_known_when_they_are_proposed(make_player, play, novelty):
    player = make_player(novelty=novelty)
    (first, _) = player.game.first_tasks()
    text = play.blocks(python="def f(x):\n    return x", input="'Hello World'")
    assert player.propose(Source("deduction"), text).task.key == first.key


@pytest.mark.parametrize("novelty", ["program", "shape"])
def test_the_novelty_of_induction_follows(make_player, play, novelty):
    player = make_player(novelty=novelty, pairs=2)
    text = "```input\n1\n```\n```input\n2\n```\n```message\nHm.\n```"
    one, other = (
        player.propose(Source("induction", (play.triplet("deduction", program, "5", "15"),)), text)
        for program in (PROGRAM, "def f(y):\n    return y * 3")
    )
    assert (one.task.key == other.task.key) == (novelty == "shape")


@pytest.mark.parametrize("pairs", [2, 10])
def test_induction_can_begin_with_the_identity_function(make_player, play, pairs):
    player = make_player(identity_induction=True, pairs=pairs)
    task = player.game.first_tasks()[-1]
    assert task.kind == "induction"
    assert task.payload["program"] == identity("deduction").payload["program"]
    assert len({given for given, _ in task.payload["pairs"]}) == pairs
    assert task.payload["shown"] == pairs // 2
    answer = play.blocks(python="def f(anything):\n    return anything")
    assert player.solve(task, answer).status is Status.PASSED
    verified = player.runner.run(player.game.verify(task))
    assert replace(verified.task, checks=()) == task
    assert all(task.kind != "induction" for task in make_player().game.first_tasks())
