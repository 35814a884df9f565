import errno
import json
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from azr_fast.config.load import dump_config, load_config
from azr_fast.errors import UserError
from azr_fast.observe.files import read_lines
from azr_fast.observe.metrics import MetricsLog
from azr_fast.observe.runfolder import FORMAT, RunFolder
from azr_fast.policy.checkpoint import prune_checkpoints, write_checkpoint


@pytest.fixture
def config(tmp_path):
    return load_config("cpu", {"run.dir": str(tmp_path / "runs"), "run.name": "first"})


def test_a_new_folder_holds_its_config(config):
    with RunFolder.create(config) as run:
        assert run.path.name == "first"
        assert (run.path / "config.toml").read_text() == dump_config(config)
        assert load_config(run.path / "config.toml") == config
        assert run.samples(7).name == "step-000007.jsonl"
        assert run.latest_checkpoint() is None


def test_without_a_name_it_is_named_by_date(tmp_path):
    with RunFolder.create(load_config("cpu", {"run.dir": str(tmp_path)})) as run:
        assert len(run.path.name) == len("20260101-000000")


def test_a_taken_name_is_refused_and_nothing_lost(config):
    RunFolder.create(config).close()
    with pytest.raises(UserError, match=r"first exists: choose another --run\.name, or go on"):
        RunFolder.create(config)
    assert load_config(_path(config) / "config.toml") == config


def _path(config):
    return Path(config.run.dir) / config.run.name


def test_a_place_that_cannot_hold_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UserError, match=r"cannot make run folder .*Not a directory; choose another --run\.dir"
    ):
        RunFolder.create(load_config("cpu", {"run.dir": str(tmp_path / "file"), "run.name": "x"}))


def test_in_use_by_another_process_until_that_ends(config):
    RunFolder.create(config).close()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from azr_fast.observe.runfolder import RunFolder\n"
            "run = RunFolder.resume(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()",
            str(_path(config)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match="first is in use by another azr-fast"):
        RunFolder.resume(_path(config))
    holder.kill()
    holder.communicate()
    RunFolder.resume(_path(config)).close()


def test_a_refused_resume_does_not_keep_the_lock(config):
    RunFolder.create(config).close()
    with pytest.raises(UserError):
        RunFolder.resume(_path(config), {"update.lr": 1.0})
    RunFolder.resume(_path(config)).close()


def test_a_run_of_another_format_is_refused_with_a_remedy(config):
    RunFolder.create(config).close()
    (_path(config) / "run.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(UserError, match=rf"has format {FORMAT + 1}.*use the version"):
        RunFolder.resume(_path(config))


@pytest.mark.parametrize("text", ["{}", "[]", "1", "null", "{", "\xff"])
def test_a_run_json_that_says_nothing(config, text):
    RunFolder.create(config).close()
    (_path(config) / "run.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"is not a run folder \(no readable run\.json\)"):
        RunFolder.resume(_path(config))


@pytest.mark.parametrize("line", ["", '{"step": 2, oops}', "[2]", "\xff\xfe"])
def test_a_damaged_line_is_named_by_place_and_remedy(config, line):
    with RunFolder.create(config) as run:
        run.metrics.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n', encoding="latin-1")
        with pytest.raises(UserError, match=r"metrics\.jsonl, line 2 is damaged: delete the line"):
            run.rewind(3)


def test_a_folder_that_may_not_be_written(config, monkeypatch):
    RunFolder.create(config).close()

    def refuse(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("azr_fast.observe.runfolder.os.open", refuse)  # root may open anything
    with pytest.raises(UserError, match=r"cannot write in run folder .*: Permission denied; mend"):
        RunFolder.resume(_path(config))


def test_a_run_without_its_checkpoints_begins_again(config):
    with RunFolder.create(config) as run:
        (run.path / "checkpoints").rmdir()
        assert run.latest_checkpoint() is None
    with RunFolder.resume(run.path) as run:
        assert run.settle() == "no whole checkpoint: the run begins anew"
        assert (run.path / "checkpoints").is_dir()


def made_steps(run, last):
    with closing(MetricsLog(run.metrics)) as log:
        for step in range(1, last + 1):
            log.append({"step": step, "time": 2.5 * step})
            run.samples(step).write_text(f'{{"of": {step}}}\n')


def everything(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_beginning_anew_moves_all_that_was_there_aside_each_time(config):
    with RunFolder.create(config) as run:
        made_steps(run, 3)
        for name in ("tasks.db", "tasks.db-wal", "checkpoints/step-3/half"):
            (run.path / name).parent.mkdir(exist_ok=True)
            (run.path / name).write_text("the first")
        first = everything(run.path)
    with RunFolder.resume(run.path) as run:
        assert run.settle().endswith(
            f"begins anew; what was there is kept in {run.path}/set-aside-1"
        )
        assert run.seconds() == 0.0
        kept = everything(run.path / "set-aside-1")
        assert kept == {k: v for k, v in first.items() if k not in ("config.toml", "run.json")}
        made_steps(run, 1)
    with RunFolder.resume(run.path) as run:
        assert "set-aside-2" in run.settle()
        assert everything(run.path / "set-aside-1") == kept
        assert set(everything(run.path / "set-aside-2")) == {
            *("metrics.jsonl", "samples/step-000001.jsonl")
        }
        shutil.rmtree(run.path / "set-aside-1")
        second = everything(run.path / "set-aside-2")
        made_steps(run, 2)
    with RunFolder.resume(run.path) as run:
        assert "set-aside-1" in run.settle()
        assert everything(run.path / "set-aside-2") == second


def whole(run, step):
    write_checkpoint(run.checkpoint(step), lambda folder: (folder / "w").write_text("1"))


def test_going_on_says_which_steps_are_played_again(config):
    with RunFolder.create(config) as run:
        made_steps(run, 7)
        whole(run, 7)
    with RunFolder.resume(run.path) as run:
        assert run.settle() == ""
        assert run.seconds() == 17.5
    for step, said in ((6, "step 7 came"), (3, "steps 4 to 6 came")):
        shutil.rmtree(run.checkpoint(7), ignore_errors=True)
        shutil.rmtree(run.checkpoint(6), ignore_errors=True)
        whole(run, step)
        with RunFolder.resume(run.path) as run:
            assert run.settle() == (
                f"goes on after step {step}; {said} after its checkpoint and will be played again"
            )
            assert run.seconds() == 2.5 * step


def test_a_damaged_newer_checkpoint_is_moved_out_of_the_way_of_those_to_come(config):
    with RunFolder.create(config) as run:
        whole(run, 3)
        whole(run, 12)
        (run.checkpoint(12) / "w").write_text("")
    with RunFolder.resume(run.path) as run:
        aside = run.path / "set-aside-1"
        assert run.settle() == (
            f"goes on after step 3; damaged checkpoints of later steps are kept in {aside}"
        )
        whole(run, 4)
        prune_checkpoints(run.path / "checkpoints", 1)
        assert run.latest_checkpoint() == 4
        assert (aside / "checkpoints" / "step-12" / "w").exists()


def test_a_failed_start_leaves_a_resumed_run_as_it_was(config):
    with RunFolder.create(config) as run:
        made_steps(run, 3)
        whole(run, 1)
        before = everything(run.path)
    RunFolder.resume(run.path).close()
    assert everything(run.path) == before


def test_a_relative_model_may_be_given_again_and_another_not(config, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    relative = {"run.dir": config.run.dir, "run.name": "first", "model.name": "model"}
    RunFolder.create(load_config("cpu", relative)).close()
    RunFolder.resume(_path(config), {"model.name": "./model/"}).close()
    monkeypatch.chdir("/")
    with pytest.raises(UserError, match=r"model\.name cannot change"):
        RunFolder.resume(_path(config), {"model.name": "./model/"})


def test_what_is_not_a_run_folder(tmp_path):
    with pytest.raises(UserError, match="is not a run folder"):
        RunFolder.resume(tmp_path)


def test_resume_changes_length_and_nothing_else(config):
    RunFolder.create(config).close()
    changes = {"run.steps": "7", "run.time_limit_minutes": 0, "run.checkpoint_every": 3}
    with RunFolder.resume(_path(config), {**changes, "update.lr": config.update.lr}) as run:
        assert (run.config.run.steps, run.config.run.checkpoint_every) == (7, 3)
    with RunFolder.resume(_path(config)) as run:
        assert run.config.run.steps == 7
    for key, value in {"update.lr": 1.0, "run.seed": 9, "model.name": "other"}.items():
        with pytest.raises(UserError, match=rf"{key} cannot change when a run is resumed"):
            RunFolder.resume(_path(config), {key: value})


def test_the_newest_whole_checkpoint_is_the_one_to_resume_from(config):
    with RunFolder.create(config) as run:
        for step in (3, 12):
            write_checkpoint(run.checkpoint(step), lambda folder: (folder / "w").write_text("1"))
        (run.path / "checkpoints" / ".step-20.partial").mkdir()
        assert run.latest_checkpoint() == 12
        (run.checkpoint(12) / "w").write_text("")
        assert run.latest_checkpoint() == 3


def test_rewind_cuts_what_came_after_the_checkpoint(config):
    with RunFolder.create(config) as run:
        with closing(MetricsLog(run.metrics)) as log:
            for step in range(1, 8):
                log.append({"step": step})
                run.samples(step).write_text("{}\n")
        with run.metrics.open("a") as file:
            file.write('{"step": 8, "cut')
        run.rewind(5)
        assert [line["step"] for line in read_lines(run.metrics)] == [1, 2, 3, 4, 5]
        assert sorted(p.name for p in (run.path / "samples").iterdir()) == [
            f"step-{step:06d}.jsonl" for step in range(1, 6)
        ]
        run.rewind(0)
        assert run.metrics.read_text() == ""
