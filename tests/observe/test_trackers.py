"""Trackers: the real packages where they are installed, in their offline modes."""

import json
import sys
from importlib.util import find_spec

import pytest

from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.observe.progress import PlainObserver
from azr_fast.observe.runfolder import RunFolder
from azr_fast.observe.trackers import Tracked, check_trackers, numbers_of, run_id, tracked


class Heard(PlainObserver):
    """Keeps what it is told."""

    def __init__(self):
        self.notes, self.steps = [], []

    def note(self, text):
        self.notes.append(text)

    def step(self, metrics):
        self.steps.append(metrics["step"])


@pytest.fixture
def observer():
    return Heard()


def configured(*names):
    return load_config("cpu", {"run.trackers": ",".join(names)})


def test_numbers_are_named_by_their_places_and_the_rest_is_left_out():
    line = {
        "step": 3, "groups": {"a/solver": {"reward": 0.5, "codes": {"ok": 3}}}, "fruitless": None,
        "update": {"entropy": 1.5, "skipped": "", "moved": True}, "list": [1, 2],
    }  # fmt: skip
    assert dict(numbers_of(line)) == {
        "step": 3.0, "groups/a/solver/reward": 0.5, "update/entropy": 1.5,
    }  # fmt: skip


def test_without_a_tracker_the_observer_is_the_same(run, observer):
    with tracked(observer, configured(), run.path) as same:
        assert same is observer


def test_a_tracker_that_is_not_installed_is_refused_by_name(monkeypatch):
    for name in ("tensorboard", "wandb", "trackio"):
        monkeypatch.setitem(sys.modules, name, None)
        with monkeypatch.context() as patch:
            patch.delitem(sys.modules, name)
            patch.setattr(sys, "path", [])
            patch.setattr(sys, "meta_path", [])
            with pytest.raises(UserError, match=rf"run\.trackers names {name}, which is not inst"):
                check_trackers([name])


def test_a_name_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(UserError, match="one of tensorboard, wandb, trackio"):
        configured("mlflow")


def test_trackers_may_change_when_a_run_is_resumed(run):
    with RunFolder.resume(run.path, {"run.trackers": "tensorboard"}) as folder:
        assert folder.config.run.trackers == ("tensorboard",)


class Failing:
    def log(self, step, numbers):
        raise ConnectionError("no route\nto host")

    def close(self):
        raise AssertionError("it was left out")


def test_a_tracker_that_fails_is_told_once_and_the_run_goes_on(observer):
    both = Tracked(observer, {"wandb": Failing()})
    both.step({"step": 1})
    both.step({"step": 2})
    both.end()
    assert observer.steps == [1, 2]
    assert observer.notes == [
        "wandb failed and gets no more (ConnectionError: no route); metrics.jsonl has everything"
    ]


def track(name, run, observer, metrics_line):
    with tracked(observer, configured(name), run.path) as both:
        for step in (1, 2, 2):  # a step that is played again after a resume
            both.step(metrics_line(step, []))
    assert observer.notes == []
    assert observer.steps == [1, 2, 2]


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_reads_what_was_written(run, observer, metrics_line):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track("tensorboard", run, observer, metrics_line)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    assert [(one.step, one.value) for one in events.Scalars("tokens_per_s")][:2] == [
        (1, 100.0), (2, 200.0),
    ]  # fmt: skip
    assert "update/entropy" in events.Tags()["scalars"]


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_writes_offline(run, observer, metrics_line, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    track("wandb", run, observer, metrics_line)
    (kept,) = (run.path / "wandb").glob("offline-run-*")
    assert run_id(run.path) in kept.name
    assert next(iter(kept.glob("*.wandb"))).stat().st_size > 0


@pytest.mark.skipif(find_spec("trackio") is None, reason="trackio is not installed")
def test_trackio_keeps_it_on_this_machine(run, observer, metrics_line, monkeypatch, tmp_path):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    track("trackio", run, observer, metrics_line)
    assert any((tmp_path / "trackio").rglob("*"))


def test_the_id_is_that_of_the_run(run):
    created = json.loads((run.path / "run.json").read_text())["created"]
    assert run_id(run.path) == f"one-{int(created)}"
