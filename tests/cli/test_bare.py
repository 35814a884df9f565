"""What works after a bare `pip install .`, without the packages that training needs."""

import subprocess
import sys

import pytest

from azr_fast.cli import commands
from azr_fast.cli.main import main
from azr_fast.config.load import load_config
from azr_fast.observe.runfolder import RunFolder
from azr_fast.observe.typed import typed

WITHOUT = (
    "import sys\n"
    "from azr_fast.cli.main import FOR_TRAINING, main\n"
    "without = sys.argv.pop(1).split() or FOR_TRAINING\n"
    "sys.modules.update(dict.fromkeys(without))\n"  # None: not found
    "sys.exit(main())"
)


@pytest.fixture
def bare(tmp_path):
    def run(*words, without=""):
        command = [sys.executable, "-c", WITHOUT, without, *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    return run


@pytest.fixture
def folder(tmp_path):
    config = load_config("cpu", {"run.dir": str(tmp_path), "run.name": "naïve"})
    with RunFolder.create(config) as run:
        return run.path


def test_commands_that_need_no_training(bare, folder):
    for words in (
        ("train", "--help"),
        ("train", "--preset", "cpu", "--dry-run"),
        ("train", "--resume", folder, "--dry-run"),
        ("report", folder),
    ):
        done = bare(*words)
        assert (done.returncode, done.stderr) == (0, ""), words
        assert done.stdout
    assert bare("doctor").stderr == ""


@pytest.mark.parametrize("without", ["", "torch"])
def test_training_names_the_package_and_the_remedy(bare, tmp_path, without):
    done = bare("train", "--preset", "cpu", without=without)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert (
        f"{without} is not installed: `make train`, or in the source folder pip install"
        in done.stderr
    )
    assert not (tmp_path / "runs").exists(), "what did not begin leaves no run folder"


def test_what_can_be_refused_early_is_refused_before_torch_is_looked_for(bare, folder, tmp_path):
    taken = ("--run.dir", folder.parent, "--run.name", folder.name)
    for words, said in (
        (taken, f"run folder {folder} exists: choose another --run.name"),
        (("--run.dir", "/proc/none"), "cannot make run folder /proc/none/"),
        (("--run.dir", folder / "run.json"), "Not a directory; choose another --run.dir"),
    ):
        done = bare("train", "--preset", "cpu", *words)
        assert done.returncode == 2
        assert said in done.stderr


def test_another_missing_module_is_a_bug_of_ours(monkeypatch):
    def fail(_words):
        raise ModuleNotFoundError("No module named 'azr_fast.x'", name="azr_fast.x")

    monkeypatch.setattr(commands, "parse", fail)
    with pytest.raises(ModuleNotFoundError):
        main([])


def test_a_terminal_without_utf8_shows_a_question_mark(folder):
    command = [sys.executable, "-m", "azr_fast.cli", "report", str(folder)]
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path), "LANG": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"na?ve" in done.stdout


def test_the_command_is_named_as_it_can_be_typed(tmp_path, monkeypatch):
    beside = tmp_path / "my venv" / "bin" / "azr-fast"
    beside.parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(beside.with_name("python")))
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    assert typed() == "azr-fast"
    beside.write_text("#!/bin/sh\n")
    beside.chmod(0o755)
    assert typed() == "'my venv/bin/azr-fast'"
    monkeypatch.chdir(beside.parents[1])
    assert typed() == "bin/azr-fast"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert typed() == f"'{beside}'"
    monkeypatch.setenv("PATH", str(beside.parent))
    assert typed() == "azr-fast"
