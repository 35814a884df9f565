"""`--resume`, from wherever it is typed and whatever has moved since."""

import json
import shutil

import pytest

from azr_fast.cli.main import main
from azr_fast.config.load import load_config


@pytest.fixture
def here(tmp_path, tiny_model, monkeypatch):
    """A working directory with a model folder in it whose relative name could be a hub id."""
    shutil.copytree(tiny_model, tmp_path / "owner" / "tiny")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def resumed(run, steps):
    return ["train", "--resume", str(run), "--run.steps", str(steps)]


def test_a_run_goes_on_from_elsewhere_moved_and_without_its_model(here, train, monkeypatch):
    train(**{"model.name": "owner/tiny", "run.name": "one", "run.steps": 2})
    config = load_config(here / "runs/one/config.toml")
    assert config.model.name == str(here / "owner/tiny")
    train(**{"model.name": "owner/tiny", "run.name": "two", "run.steps": 1})

    shutil.rmtree(here / "owner")
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    (here / "runs" / "two").rename(elsewhere / "moved")
    (elsewhere / "link").symlink_to("moved")
    monkeypatch.chdir(elsewhere)
    shown = train(*resumed("link/", 2))
    assert "run link: " in shown
    assert "going on after step 1" in shown
    assert "again" not in shown

    straight, stopped = here / "runs" / "one", elsewhere / "moved"
    first, second = lines_of(stopped)
    assert 0 < first["time"] < second["time"]
    assert second["groups"] == lines_of(straight)[1]["groups"]
    for file in ("model/model.safetensors", "model/tokenizer.json", "optimizer.safetensors"):
        saved = [run / "checkpoints" / "step-2" / file for run in (straight, stopped)]
        assert saved[0].read_bytes() == saved[1].read_bytes(), file


def test_without_a_checkpoint_a_run_begins_anew_and_keeps_what_was_there(here, train, capfd):
    train(**{"model.name": "owner/tiny", "run.name": "one", "run.steps": 2})
    run = here / "runs" / "one"
    (run / "checkpoints/step-2/model/config.json").write_text("")  # damaged
    old = (run / "metrics.jsonl").read_bytes()

    (here / "owner").rename(here / "gone")
    assert main(resumed(run, 1)) == 2
    _, errors = capfd.readouterr()
    assert f"the run's model {here}/owner/tiny is gone" in errors
    assert (run / "metrics.jsonl").read_bytes() == old

    (here / "gone").rename(here / "owner")
    shown = train(*resumed("runs/one", 1))
    assert (
        "no whole checkpoint: the run begins anew; what was there is kept in "
        "runs/one/set-aside-1\n" in shown
    )
    aside = run / "set-aside-1"
    assert (aside / "metrics.jsonl").read_bytes() == old
    assert {path.name for path in aside.iterdir()} == {
        *("metrics.jsonl", "tasks.db", "samples", "checkpoints")
    }
    assert [line["step"] for line in lines_of(run)] == [1]
    assert lines_of(run)[0]["time"] < json.loads(old.splitlines()[1])["time"]
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-1"]
