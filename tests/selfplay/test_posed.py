"""What games read of the buffers beside drawing from them, and who learns."""

from types import SimpleNamespace

import pytest

from azr_fast.config.schema import Config, PlayConfig
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.loop import Trainer
from azr_fast.types import Episode, Family, Posed, Role, Status, Task, Verdict


@pytest.fixture
def buffer():
    buffer = TaskBuffer(":memory:", capacity=3)
    yield buffer
    buffer.close()


def test_posed_tasks_come_by_type_the_oldest_first_and_as_far_as_the_window_goes(buffer):
    for step in range(5):
        buffer.add(Task("a", f"a{step}", {}), step)
    buffer.add(Task("b", "b0", {}), 7)
    posed = buffer.posed(["b", "a"])
    assert [(one.task.key, one.step) for one in posed] == [
        ("b0", 7),
        ("a2", 2),
        ("a3", 3),
        ("a4", 4),
    ]


def test_a_price_is_known_at_once_and_to_its_type_alone(buffer):
    for kind in "ab":
        buffer.add(Task(kind, "same", {}), 1)
        buffer.add(Task(kind, "next", {}), 1)
    buffer.record_accuracy(Task("a", "same", {}), 0.25)
    buffer.record_accuracy(Task("a", "gone", {}), 0.5)  # evicted meanwhile: nothing to note
    assert [one.accuracy for one in buffer.posed(["a", "b"])] == [0.25, None, None, None]
    assert buffer.posed(["a"])[0] == Posed(Task("a", "same", {}), 1, 0.25)


@pytest.mark.parametrize(
    ("learners", "priced", "expected"),
    [
        (("proposer", "solver"), True, ["proposer", "solver", "solver"]),
        (("proposer", "solver"), False, ["proposer", "solver"]),
        (("solver",), True, ["solver", "solver"]),
        (("solver",), False, ["solver"]),
        (("proposer",), True, ["proposer"]),
    ],
)
def test_only_the_roles_that_learn_enter_the_update(learners, priced, expected):
    def episode(role):
        verdict = Verdict(Status.PASSED, "ok")
        return Episode((0,), role, "a", token_ids=[1], sampled=[True], verdict=verdict)

    play = PlayConfig(learners=learners, train_on_priced_answers=priced)
    trainer = SimpleNamespace(config=Config(play=play))
    posed = Family(episode(Role.PROPOSER), [episode(Role.SOLVER)])
    replayed = Family(None, [episode(Role.SOLVER)])
    learnt = [one for family in (posed, replayed) for one in Trainer.learnt(trainer, family)]
    assert [str(one.role) for one in learnt] == expected
