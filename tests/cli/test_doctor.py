import pytest

from azr_fast.cli import doctor, machine
from azr_fast.cli.main import main
from azr_fast.threads import usable_cores


def lines_of(capsys):
    """name -> (mark, detail) of the report."""
    found = {}
    for line in capsys.readouterr().out.splitlines():
        if len(parts := line.split(maxsplit=2)) == 3:
            found[parts[1]] = parts[0], parts[2]
    return found


def test_doctor_reports_what_is_here(capsys):
    main(["doctor"])
    found = lines_of(capsys)
    assert found["python"][0] == "ok"
    assert found["cores"] == ("ok", str(usable_cores()))
    assert found["torch"] == ("ok", machine.version("torch"))


def test_doctor_names_what_is_missing_and_the_remedy(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "version", lambda *names: None)
    monkeypatch.setenv("AZR_SANDBOXD", str(tmp_path / "none"))
    assert main(["doctor"]) == 1
    found = lines_of(capsys)
    assert found["torch"][0] == "MISSING"
    assert found["torch"][1] == "`make train`, or in the source folder pip install '.[cpu]'"
    assert "pip install '.[plot]'" in found["matplotlib"][1]
    assert found["sandbox"] == (
        "MISSING",
        f"AZR_SANDBOXD names {tmp_path / 'none'}, which is not an executable file: name azr-sandboxd, or unset it",
    )
    assert found["vllm"][0] == "-"


def test_doctor_says_so_when_the_daemon_fails_its_check(capsys, monkeypatch):
    monkeypatch.setenv("AZR_SANDBOXD", "/bin/false")
    assert main(["doctor"]) == 1
    assert lines_of(capsys)["layers"] == ("MISSING", "exit code 1")


def test_doctor_reports_a_daemon_that_cannot_start(capsys, monkeypatch, tmp_path):
    (tmp_path / "daemon").write_bytes(b"\x7fELF of no machine")
    (tmp_path / "daemon").chmod(0o755)
    monkeypatch.setenv("AZR_SANDBOXD", str(tmp_path / "daemon"))
    assert main(["doctor"]) == 1
    assert "Exec format error; install azr-fast again" in lines_of(capsys)["layers"][1]
    assert main(["sandbox", "check"]) == 2


def test_memory_is_held_against_what_the_smallest_preset_takes(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "free_gib", lambda: 1.0)
    assert main(["doctor"]) == 1
    mark, detail = lines_of(capsys)["memory"]
    assert (mark, detail.partition(",")[0]) == ("MISSING", "1.0 GiB free")


@pytest.mark.parametrize("names", [("pytest",), ("no-such-package", "pytest")])
def test_version_takes_the_first_package_that_is_here(names):
    assert machine.version(*names) == f"pytest {pytest.__version__}"
    assert machine.version("no-such-package") is None


def test_models_list_names_the_built_in_model_and_the_other_ways(capsys):
    assert main(["models", "list"]) == 0
    out = capsys.readouterr().out
    assert "smollm2-135m" in out
    assert "Apache-2.0" in out
    assert "hub id" in out
