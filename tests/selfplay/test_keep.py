"""Which checkpoints stay, and what a process that was killed leaves among them."""

import pytest

from azr_fast.policy.checkpoint import is_whole, prune_checkpoints, steps_of, write_checkpoint


@pytest.fixture
def checkpoints(tmp_path):
    """A folder with checkpoints of these steps."""

    def make(*steps):
        for step in steps:
            write_checkpoint(tmp_path / f"step-{step}", lambda f: (f / "w").write_text("1"))
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ({"newest": 2}, [9, 10]),
        ({"newest": 1, "every": 4}, [4, 8, 10]),
        ({"newest": 1, "best": 3}, [3, 10]),
        ({"newest": 2, "every": 5, "best": 2}, [2, 5, 9, 10]),
        ({"newest": 1, "best": 77}, [10]),
        ({"newest": 99}, list(range(1, 11))),
    ],
)
def test_rules_add_up(checkpoints, rules, left):
    parent = checkpoints(*range(11))
    prune_checkpoints(parent, **rules)
    assert steps_of(parent) == left


def test_tasks_without_a_model_stay_until_there_is_one(checkpoints):
    parent = checkpoints(0)
    prune_checkpoints(parent, 1, every=1, best=0)
    assert steps_of(parent) == [0]
    checkpoints(1)
    prune_checkpoints(parent, 5, every=1, best=0)
    assert steps_of(parent) == [1]


def test_what_killed_processes_left_is_removed(checkpoints):
    parent = checkpoints(1, 2)
    for name in (".step-7.partial", ".step-3.removed"):
        (parent / name / "model").mkdir(parents=True)
        (parent / name / "model" / "w").write_text("1")
    prune_checkpoints(parent, 2)
    assert sorted(path.name for path in parent.iterdir()) == ["step-1", "step-2"]
    (parent / ".step-7.partial").mkdir()
    checkpoints(3)
    assert sorted(path.name for path in parent.iterdir()) == ["step-1", "step-2", "step-3"]
    assert all(is_whole(parent / f"step-{step}") for step in (1, 2, 3))
