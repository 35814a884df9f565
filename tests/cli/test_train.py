import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from azr_fast import hardware
from azr_fast.cli.commands import parse
from azr_fast.cli.main import FOR_TRAINING, main
from azr_fast.cli.parser import overrides
from azr_fast.config.keys import keys_of
from azr_fast.config.load import default_preset, load_config
from azr_fast.games.azr.config import AzrConfig, RewardConfig
from azr_fast.games.azr.plan import best_solve_rate, work
from azr_fast.observe.runfolder import RunFolder

FIELDS = keys_of(AzrConfig).fields


def cli(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "azr_fast.cli", *words], capture_output=True, text=True, **options
    )


@pytest.fixture
def refused(capsys):
    """Runs a bad command in this process; returns the one line that it leaves."""

    def run(*words):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert err.startswith("azr-fast: error: ")
        return err

    return run


def test_the_process_exits_with_2_and_one_line():
    done = cli("train", "--run.steps", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "azr-fast: error: run.steps = '0' is not allowed: run.steps takes a whole number > 0\n"
    )


def test_a_reader_that_goes_away_is_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "azr_fast.cli", "models", "list"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_help_imports_nothing_heavy_and_names_every_command():
    code = "import sys; from azr_fast.cli.main import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, "train", "--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "azr_fast.cli.plan" in imported
    assert not imported & {"vllm", "matplotlib", *FOR_TRAINING}
    for command in ("train", "report", "models", "sandbox", "doctor"):
        assert f"  {command} " in cli().stdout


@pytest.mark.parametrize("command", ["train", "report", "models", "sandbox", "doctor"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert f"azr-fast {command}" in capsys.readouterr().out


def help_of_train(capsys, *words):
    with pytest.raises(SystemExit):
        main(["train", *words, "--help"])
    return " ".join(capsys.readouterr().out.split())


def test_help_of_train_teaches_every_key(capsys):
    text = help_of_train(capsys)
    for key, field in FIELDS.items():
        assert f"--{key} VALUE" in text
        assert " ".join(field.description.split()) in text


def test_help_shows_the_defaults_of_the_chosen_preset(capsys):
    assert "default: smollm2-135m" in help_of_train(capsys, "--preset", "cpu")
    assert "default: Qwen/Qwen2.5-7B" in help_of_train(capsys, "--preset", "azr-paper-7b")


@pytest.mark.parametrize("key", [key for key in FIELDS if key != "game.name"])
def test_every_key_is_an_option_both_ways_of_typing(key):
    assert overrides(parse(["train", f"--{key}", "x"])) == {key: "x"}
    assert overrides(parse(["train", f"--{key}=-1e-3"])) == {key: "-1e-3"}


def test_a_negative_value_needs_no_equals_sign():
    assert overrides(parse(["train", "--reward.wrong", "-0.25"])) == {"reward.wrong": "-0.25"}


def test_the_time_limit_has_a_short_name():
    assert overrides(parse(["train", "--time-limit", "60"])) == {"run.time_limit_minutes": "60"}


def test_dry_run_prints_a_config_file_that_gives_the_same_config(tmp_path):
    done = cli(
        "train", "--preset", "cpu", "--dry-run", "--rollout.temperature", "0.8", cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "mine.toml").write_text(done.stdout)
    assert load_config(tmp_path / "mine.toml") == load_config("cpu", {"rollout.temperature": 0.8})
    assert re.search(r"^# +deduction/solver +8-64 +0$", done.stdout, re.MULTILINE)
    assert re.search(r"^# +all +72-240 +0-224$", done.stdout, re.MULTILINE)
    assert "30,720 tokens sampled" in done.stdout
    assert "tasks solved 37% of the time (n = 4)" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_a_dry_run_tells_the_memory_by_parts(tmp_path):
    (tmp_path / "config.json").write_text(
        '{"hidden_size": 512, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 1000,'
        ' "intermediate_size": 1024, "num_hidden_layers": 3}'
    )
    save_file({"a": np.zeros((2**12, 2**12), np.float16)}, tmp_path / "model.safetensors")
    words = ("--preset", "cpu", "--model.dtype", "bfloat16", "--model.name", str(tmp_path))
    done = cli("train", "--dry-run", *words)
    held = dict(re.findall(r"^#   (\w+) +([0-9.]+)\b", done.stdout, re.MULTILINE))
    assert held["weights"] == "0.03"  # 2**24 parameters of 2 bytes
    assert held["masters"] == held["gradients"] == "0.06"
    assert held["moments"] == "0.12"
    assert held["cache"] == "1.00"
    parts = [float(gib) for name, gib in held.items() if name not in ("all", "at")]
    assert float(held["all"]) == pytest.approx(sum(parts), abs=0.05)


def test_a_dry_run_of_a_model_that_is_not_here_says_so():
    done = cli("train", "--dry-run", "--preset", "cpu", "--model.name", "nobody/nothing")
    assert (done.returncode, done.stderr) == (0, "")
    assert "# memory: not known, nobody/nothing is not on this machine" in done.stdout


def test_dry_run_takes_a_file_as_preset(tmp_path):
    (tmp_path / "mine.toml").write_text("[run]\nsteps = 3\n")
    done = cli("train", "--preset", "mine.toml", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert "steps = 3\n" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "unknown command 'trian': the nearest is 'train'"),
        (["train", "--preset", "cpuu"], "unknown preset 'cpuu': the nearest is 'cpu'"),
        (["train", "--rolout.temp", "1"], "unknown option '--rolout.temp': the nearest is '--rollout.temperature'"),
        (["train", "--rollout.temp=1"], "the nearest is '--rollout.temperature'"),
        (["train", "--dryrun"], "the nearest is '--dry-run'"),
        (["--run.steps", "3"], "--run.steps follows a command: azr-fast train --run.steps 3"),
        (["--resume=runs/a"], "--resume follows a command: azr-fast train --resume=runs/a"),
        (["--dryrun"], "unknown option '--dryrun'"),
        (["train", "now"], "unexpected argument 'now'"),
        (["train", "--rollout.temperature"], "expected one argument"),
        (["train", "--rollout.top_p", "2"], "rollout.top_p = '2' is not allowed: rollout.top_p takes a number > 0 and <= 1"),
        (["train", "--time-limit", "-1"], "run.time_limit_minutes = '-1' is not allowed"),
        (["train", "--preset", "none.toml"], "cannot read config none.toml"),
        (["train", "--resume", "nowhere"], "nowhere is not a run folder"),
        (["train", "--resume", "nowhere", "--preset", "cpu"], "exclude each other"),
        (["train", "--model.name", "no-such-model"], "no-such-model"),
        (["report", "nowhere"], "nowhere is not a run folder"),
        (["report"], "required: RUN"),
        (["models", "fetch", "--fast"], "required: NAME"),
        (["models", "list", "--fast"], "unknown option '--fast'"),
        (["sandbox", "run", "none.py"], "cannot read none.py: No such file"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_with_exit_code_2(words, message, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    assert message in refused(*words)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def folder(tmp_path):
    config = load_config("cpu", {"run.dir": str(tmp_path / "runs"), "run.name": "first"})
    with RunFolder.create(config) as run:
        return run.path


def test_resume_refuses_other_keys_and_keeps_the_folder(folder, refused):
    before = (folder / "config.toml").read_text()
    words = ["train", "--resume", str(folder), "--update.lr", "1"]
    assert "update.lr cannot change when a run is resumed" in refused(*words)
    assert "update.lr cannot change" in refused(*words, "--dry-run")
    assert (folder / "config.toml").read_text() == before


def test_a_dry_run_of_a_resume_writes_nothing(folder):
    before = (folder / "config.toml").read_text()
    done = cli("train", "--resume", str(folder), "--dry-run", "--run.steps", "7")
    assert "steps = 7\n" in done.stdout
    assert (folder / "config.toml").read_text() == before


def test_damaged_run_folders_are_refused_by_every_command(folder, refused):
    (folder / "metrics.jsonl").write_text('{"step": 1,\n')
    assert "metrics.jsonl, line 1 is damaged: delete the line" in refused("report", str(folder))
    (folder / "run.json").write_text("[]")
    for words in (["report"], ["train", "--resume"], ["train", "--dry-run", "--resume"]):
        assert "is not a run folder" in refused(*words, str(folder))


def test_a_run_folder_in_use_is_refused(folder, refused):
    with RunFolder.resume(folder):
        assert "is in use by another azr-fast" in refused("train", "--resume", str(folder))


def test_the_default_preset_follows_the_gpu_and_the_build_of_torch(monkeypatch):
    monkeypatch.setattr(hardware, "gpu_devices", list)
    assert default_preset() == "cpu"
    monkeypatch.setattr(hardware, "gpu_devices", lambda: [Path("/dev/nvidia0")])
    monkeypatch.setattr(hardware.metadata, "version", lambda name: "2.13.0")
    assert default_preset() == "gpu"
    monkeypatch.setattr(hardware.metadata, "version", lambda name: "2.13.0+cpu")
    assert default_preset() == "cpu"


def test_no_gpu_is_seen_where_the_environment_hides_them(monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([Path("/dev/nvidia0")]))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert hardware.gpu_devices() == [Path("/dev/nvidia0")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert hardware.gpu_devices() == []


@pytest.mark.parametrize(("samples", "best"), [(4, 0.37), (8, 0.257), (16, 0.169)])
def test_reward_maximising_solve_rate_of_the_paper(samples, best):
    """1 - n^(-1/(n-1)), the root of the derivative of (1 - p) - (1 - p)^n."""
    found = best_solve_rate(RewardConfig(), samples)
    assert found == pytest.approx(best, abs=1e-3)
    assert found == pytest.approx(1 - samples ** (-1 / (samples - 1)), abs=1e-3)


def test_reward_maximising_solve_rate_of_other_rewards():
    assert best_solve_rate(RewardConfig(learnability="variance"), 8) == pytest.approx(0.5)
    assert best_solve_rate(RewardConfig(), 1) is None


def test_work_of_the_papers_step():
    groups = {group.group: group for group in work(load_config("azr-paper-7b"))}
    assert len(groups) == 6
    assert groups["deduction/proposer"].episodes == (64, 64)
    assert groups["deduction/solver"].episodes == (64, 64 * 8 + 64)
    assert groups["deduction/solver"].runs == (0, 0)
    assert groups["induction/solver"].runs == (0, 64 * 8 + 64)


def test_priced_answers_count_as_solves():
    config = load_config("cpu", {"play.proposals": 4, "play.solves": 6, "play.price_samples": 3})
    solver = next(group for group in work(config) if group.group == "deduction/solver")
    assert solver.episodes == (6, 4 * 3 + 2)
