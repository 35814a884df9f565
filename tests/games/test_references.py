"""Which tasks a proposal is made from."""

import random
from collections import Counter

import pytest

from azr_fast.types import Posed, Task


@pytest.fixture
def filled(buffer, play):
    """Task n was posed in step n and solved at the rate n / 10."""
    for n in range(11):
        program = f"def f(x):\n    return x * {n}"
        for kind in ("deduction", "abduction"):
            task = play.triplet(kind, program, f"{n}", f"{n * n}")
            buffer.add(task, n)
            buffer.record_accuracy(task, n / 10)
    return buffer


def drawn(player, kind, count, tasks, seed=0):
    sources = player.game.sources(kind, count, tasks, random.Random(seed))
    return [[int(one.payload["input"]) for one in source.references] for source in sources]


def test_recent_references_are_drawn_by_the_weight_of_their_step(make_player, filled):
    shown = drawn(make_player(references=1, reference_choice="recent"), "deduction", 6600, filled)
    counts = Counter(one for (one,) in shown)
    for step in range(11):
        expected = 6600 * (step + 1) / 66
        assert abs(counts[step] - expected) < 6 * expected**0.5


def test_recent_references_differ_and_repeat_with_the_seed(make_player, filled):
    player = make_player(references=6, reference_choice="recent")
    shown = drawn(player, "abduction", 50, filled)
    assert all(len(set(one)) == 6 for one in shown)
    assert shown == drawn(player, "abduction", 50, filled)
    assert shown != drawn(player, "abduction", 50, filled, seed=1)
    assert all(len(set(one)) == 11 for one in drawn(make_player(references=20, reference_choice="recent"), "deduction", 3, filled))  # fmt: skip


@pytest.mark.parametrize("choice", ["uniform", "recent"])
def test_learnable_references_were_solved_sometimes(make_player, filled, choice):
    player = make_player(references=3, reference_tasks="learnable", reference_choice=choice)
    shown = {one for some in drawn(player, "deduction", 200, filled) for one in some}
    assert shown == set(range(1, 10))
    about = {one for some in drawn(player, "induction", 300, filled) for one in some}
    assert about == set(range(1, 10))


def test_without_a_learnable_task_all_are_shown(make_player, buffer, play):
    for n in range(4):
        buffer.add(play.triplet("deduction", f"def f(x):\n    return x + {n}", f"{n}", "0"), 0)
    player = make_player(references=4, reference_tasks="learnable")
    assert sorted(drawn(player, "deduction", 1, buffer)[0]) == [0, 1, 2, 3]


def test_known_solve_rates_outlive_a_resume_and_leave_with_a_rewind(filled, tmp_path, play):
    from azr_fast.selfplay.buffer import TaskBuffer

    buffer = TaskBuffer(tmp_path / "tasks.db", 10)
    task = play.triplet("deduction", "def f(x):\n    return x", "1", "1")
    buffer.add(task, 3)
    buffer.record_accuracy(task, 0.5)
    mark = buffer.watermark()
    buffer.close()
    again = TaskBuffer(tmp_path / "tasks.db", 10)
    assert again.posed(["deduction"]) == [Posed(task, 3, 0.5)]
    again.add(Task("deduction", "k", {}), 4)
    assert len(again.posed(["deduction"])) == 2
    again.rewind(mark)
    assert again.posed(["deduction"]) == [Posed(task, 3, 0.5)]
    again.close()


def test_while_seeding_each_program_gets_an_induction_proposal_first(make_player, filled, play):
    player = make_player(induction_seeds="each_program")
    done = play.induction("def f(x):\n    return x * 4", [("1", "4"), ("2", "8")])
    filled.add(done, 0)
    first = [one for (one,) in drawn(player, "induction", 10, filled)]
    assert sorted(first) == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
    more = [one for (one,) in drawn(player, "induction", 200, filled)]
    assert sorted(more[:10]) == sorted(first)
    assert 4 in more[10:]
    filled.step = 1  # no seeding any more
    assert len({one for (one,) in drawn(player, "induction", 10, filled)}) < 10


def test_no_references_are_shown_where_none_are_wanted(make_player, filled, play):
    player = make_player(references=0)
    (source,) = player.game.sources("deduction", 1, filled, random.Random(0))
    assert source.references == ()
    told = player.proposal_prompt(source).told()
    assert "xamples" not in told
    assert "(none yet)" not in told
    assert "Examples" in make_player(references=1).proposal_prompt(source).told()


def test_outputs_of_references_are_shown_on_demand(make_player, play):
    from azr_fast.types import Source

    source = Source(
        "abduction", (play.triplet("abduction", "def f(x):\n    return x * 7", "13", "91"),)
    )
    shown = make_player(reference_outputs=True).proposal_prompt(source).told()
    assert "```input\n13\n```\n\n```output\n91\n```" in shown
    assert "91" not in make_player().proposal_prompt(source).told()
