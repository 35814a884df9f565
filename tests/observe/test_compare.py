"""Two runs side by side."""

import pytest

from azr_fast.cli.main import main
from azr_fast.config.load import load_config
from azr_fast.observe.compare import common_steps, config_differences, rows
from azr_fast.observe.run import read_run
from azr_fast.observe.runfolder import RunFolder


@pytest.fixture
def other(tmp_path, write_steps):
    """A run of four steps with another learning rate."""
    keys = {"run.dir": str(tmp_path), "run.name": "two", "update.lr": 1e-6}
    run = RunFolder.create(load_config("cpu", keys))
    run.close()
    write_steps(run, range(1, 5))
    return run.path


def by_name(found):
    return {row.figure.name: (row.first, row.second, row.difference) for row in found}


def test_figures_are_those_of_the_steps_that_both_have_made(finished, other):
    first, second = read_run(finished), read_run(other)
    assert common_steps(first, second) == 4
    # Valid shares 0, 1/4, 1/4, 2/4; of four steps the last two count, of eight the last four.
    both = by_name(rows(first, second, 4))
    assert both["valid proposals"] == (0.375, 0.375, 0.0)
    every = by_name(rows(first, second))
    assert every["valid proposals"] == (0.75, 0.375, -0.375)
    assert every["deduction/proposer: learnable"] == (0.75, 0.375, -0.375)
    assert every["deduction/solver: solved"] == (0.5, 0.5, 0.0)


def test_a_figure_that_one_run_lacks_has_no_difference(finished, other, metrics_line, write_steps):
    with RunFolder.resume(other) as folder:
        write_steps(folder, [5], line_of=lambda *step: metrics_line(*step) | {"eval_x": 0.5})
    found = by_name(rows(read_run(finished), read_run(other)))
    assert found["eval x"] == (None, 0.5, None)


def test_scores_are_the_newest_however_long_ago_they_were_taken(
    finished, other, metrics_line, write_steps
):
    def scored(step, answers):
        extra = {"eval_x": step / 100} if step in (5, 10) else {}
        return metrics_line(step, answers) | extra

    with RunFolder.resume(other) as folder:
        write_steps(folder, range(5, 25), line_of=scored)
    found = by_name(rows(read_run(finished), read_run(other)))
    assert found["eval x"] == (None, 0.1, None)


def test_the_keys_that_differ_are_named_and_the_folders_are_not(finished, other):
    differences = config_differences(read_run(finished), read_run(other))
    assert differences == [("update.lr", "4e-05", "1e-06")]


def test_the_command_shows_both_tables(finished, other, capsys):
    assert main(["compare", str(finished), str(other)]) == 0
    text = capsys.readouterr().out
    assert "up to step 4" in text
    line = next(line for line in text.splitlines() if "learnable proposals" in line)
    assert line.split()[2:] == ["38%", "38%", "+0.0", "points"]
    assert "update.lr" in text
    assert main(["compare", str(finished), str(other), "--all"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "valid and new" in line)
    assert line.split()[4:] == ["75%", "38%", "-37.5", "points"]


def test_a_run_beside_itself_differs_in_nothing(finished, capsys):
    assert main(["compare", str(finished), str(finished)]) == 0
    assert "the configs are the same" in capsys.readouterr().out


def test_runs_without_steps_are_compared_too(run, other, capsys):
    assert main(["compare", str(run.path), str(other)]) == 0
    assert "there is no step that both have made: --all" in capsys.readouterr().out
    assert main(["compare", str(run.path), str(other), "--all"]) == 0
    assert "valid proposals" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["nowhere", "nowhere"], ["x", "y", "--steps", "0"], ["x"]])
def test_bad_input_is_refused_in_one_line(words, capsys):
    assert main(["compare", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
