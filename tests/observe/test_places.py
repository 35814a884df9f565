from pathlib import Path

import pytest

from azr_fast.config.load import load_config
from azr_fast.observe.places import anchored


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory, also the home, with models of every kind."""
    for folder in ("folder", "owner/name", "smollm2-135m", "~odd"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "blob").write_text("GGUF")
    (tmp_path / "file.gguf").symlink_to("blob")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def model(name):
    return anchored(load_config("cpu", {"model.name": name})).model.name


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("folder", "/folder"),
        ("./folder/", "/folder"),
        ("owner/../folder", "/folder"),
        ("~/folder", "/folder"),
        ("link", "/folder"),
        ("owner/name", "/owner/name"),
        ("file.gguf", "/file.gguf"),
        ("blob", "/blob"),
        ("./~odd", "/~odd"),
        ("gone.gguf", "/gone.gguf"),
    ],
)
def test_files_and_folders_become_absolute(home, typed, stored):
    assert model(typed) == f"{home}{stored}"


@pytest.mark.parametrize("name", ["smollm2-135m", "owner/other", "Qwen/Qwen2.5-7B", "~nobody/x"])
def test_built_in_names_and_hub_ids_stay(home, name):
    assert model(name) == name


def test_a_socket_becomes_absolute_and_none_stays_none(home):
    def socket(path):
        return anchored(load_config("cpu", {"sandbox.socket": path})).sandbox.socket

    assert [socket(""), socket("s"), socket("~/s")] == ["", f"{home}/s", f"{home}/s"]


def test_a_file_of_seeds_becomes_absolute_and_none_stays_none(home):
    def file(path):
        return anchored(load_config("cpu", {"seeding.file": path})).seeding.file

    assert [file(""), file("s"), file("~/s")] == ["", f"{home}/s", f"{home}/s"]


def test_records_of_benchmarks_become_absolute_beside_the_names_of_benchmarks(home):
    keys = {"eval.benchmarks": "gsm8k,humaneval+", "eval.data": "humaneval+=~/a,gsm8k=b/c,x=d"}
    stored = anchored(load_config("cpu", keys)).eval.data
    assert stored == (f"humaneval+={home}/a", f"gsm8k={home}/b/c", f"{home}/x=d")
    assert anchored(load_config("cpu", keys | {"eval.data": ""})).eval.data == ()


def test_the_folder_of_runs_is_expanded_and_stays_relative(home):
    def folder(path):
        return anchored(load_config("cpu", {"run.dir": path})).run.dir

    assert [folder("runs"), folder("~/runs")] == ["runs", f"{home}/runs"]


def test_anchoring_twice_changes_nothing(home):
    config = anchored(load_config("cpu", {"model.name": "folder", "sandbox.socket": "s"}))
    assert anchored(config) == config
    assert Path(config.model.name).is_absolute()
