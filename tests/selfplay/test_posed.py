"""What games read of the buffers beside drawing from them."""

import pytest

from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.types import Posed, Task


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
        for name in ("gone", "same", "next", "last"):
            buffer.add(Task(kind, name, {}), 1)
    buffer.record_accuracy(Task("a", "same", {}), 0.25)
    buffer.record_accuracy(Task("a", "gone", {}), 0.5)  # evicted meanwhile: not shown any more
    assert [one.accuracy for one in buffer.posed(["a", "b"])] == [0.25, *[None] * 5]
    assert buffer.posed(["a"])[0] == Posed(Task("a", "same", {}), 1, 0.25)
