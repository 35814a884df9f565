"""Checkpoints that are written while play goes on, and which of them are kept."""

import json
import threading
from contextlib import closing

import pytest
import torch

from azr_fast.errors import UserError
from azr_fast.observe.metrics import MetricsLog
from azr_fast.policy.checkpoint import is_whole
from azr_fast.policy.snapshot import Snapshot
from azr_fast.policy.writer import Writer
from azr_fast.selfplay import saving


def steps(trainer):
    return sorted(int(p.name[5:]) for p in (trainer.run.path / "checkpoints").glob("step-*"))


def test_a_step_does_not_wait_for_the_disk(play, monkeypatch):
    """The checkpoint of step 2 is on the disk no earlier than step 4 is over; it holds the weights
    of step 2."""
    four = threading.Event()
    write = Snapshot.write

    def slow(self, folder):
        if folder.name == ".step-2.partial":
            assert four.wait(60)
        write(self, folder)

    monkeypatch.setattr(Snapshot, "write", slow)
    at_2 = {}

    def watch(trainer):
        step = trainer.step

        def seen(number):
            step(number)
            if number == 2:
                at_2.update((name, w.clone()) for name, w in trainer.policy.named_weights())
            if number == 4:
                assert steps(trainer) == [0]
                four.set()

        trainer.step = seen

    trainer, raised = play(prepare=watch, **{"run.checkpoint_every": 2, "run.keep_checkpoints": 9})
    assert raised is None
    assert steps(trainer) == [2, 4, 6]
    assert all(is_whole(trainer.run.checkpoint(step)) for step in (2, 4, 6))
    from safetensors.torch import load_file

    saved = load_file(trainer.run.checkpoint(2) / "model" / "model.safetensors")
    assert saved
    assert all(torch.equal(at_2[name], weight) for name, weight in saved.items())
    assert "lm_head.weight" not in saved  # tied weights are saved once, copied or not
    assert any("written while play goes on" in note for note in trainer.observer.notes)


def test_without_memory_for_a_copy_the_run_waits(play, monkeypatch):
    monkeypatch.setattr(saving, "free_gib", lambda: 0.0)
    trainer, raised = play(**{"run.checkpoint_every": 2, "run.keep_checkpoints": 9})
    assert raised is None
    assert steps(trainer) == [2, 4, 6]
    assert any("while the run waits" in note for note in trainer.observer.notes)


def test_both_ways_write_the_same(play, monkeypatch):
    def files(trainer):
        folder = trainer.run.checkpoint(6)
        return {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()}

    beside, _ = play()
    monkeypatch.setattr(saving, "free_gib", lambda: 0.0)
    waited, _ = play(**{"run.name": "waited"})
    assert files(beside) == files(waited)


def test_a_checkpoint_that_cannot_be_written_ends_the_run(play, monkeypatch):
    """What the writer met is raised after the step that goes on meanwhile."""
    write = Snapshot.write

    def full(self, folder):
        if folder.name == ".step-2.partial":
            raise OSError(28, "No space left on device")
        write(self, folder)

    monkeypatch.setattr(Snapshot, "write", full)
    trainer, raised = play(**{"run.checkpoint_every": 2})
    assert isinstance(raised, UserError)
    assert "cannot write checkpoint" in str(raised)
    assert "No space left on device" in str(raised)
    assert "are free on the disk of" in str(raised)
    # The step that was played meanwhile is saved, for there was room again.
    assert steps(trainer)[-1] in (3, 4)
    assert is_whole(trainer.run.checkpoint(steps(trainer)[-1]))


def test_the_writer_raises_what_its_work_raised_once():
    writer = Writer()

    def fail():
        raise ValueError("no")

    writer.start(fail)
    with pytest.raises(ValueError, match="no"):
        writer.wait()
    writer.wait()
    done = []
    writer.start(lambda: done.append(1))
    writer.wait()
    writer.check()
    assert done == [1]


def test_one_work_begins_after_the_other():
    writer, order, first = Writer(), [], threading.Event()
    writer.start(lambda: (first.wait(60), order.append(1)))
    writer.check()
    first.set()
    writer.start(lambda: order.append(2))
    writer.wait()
    assert order == [1, 2]


def kept(play, **keys):
    trainer, raised = play(**{"run.checkpoint_every": 1, "run.keep_checkpoints": 1} | keys)
    assert raised is None
    return trainer, steps(trainer)


def test_the_newest_are_kept(play):
    assert kept(play, **{"run.keep_checkpoints": 2})[1] == [5, 6]


def test_every_nth_is_kept_besides(play):
    assert kept(play, **{"run.keep_every": 2})[1] == [2, 4, 6]


def test_the_best_by_a_score_is_kept_besides(play):
    trainer, left = kept(play, **{"run.keep_best": "solver.solve_rate"})
    lines = [json.loads(line) for line in trainer.run.metrics.read_text().splitlines()]
    best = max(lines, key=lambda line: (line["solver"]["solve_rate"], line["step"]))["step"]
    assert left == sorted({best, 6})


def test_a_score_that_is_nowhere_is_said(play):
    trainer, left = kept(play, **{"run.keep_best": "solver.solve_rat"})
    assert left == [6]
    (note,) = (note for note in trainer.observer.notes if "keep_best" in note)
    assert "solver.solve_rat" in note


def test_a_line_that_the_disk_does_not_take_leaves_nothing(tmp_path, monkeypatch):
    with closing(MetricsLog(tmp_path / "metrics.jsonl")) as log:
        log.append({"step": 1})

        def full(number):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            log.append({"step": 2})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n'
