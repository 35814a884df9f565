import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from azr_fast.errors import UserError
from azr_fast.observe.plot import plot_run
from azr_fast.observe.report import print_summary
from azr_fast.observe.runfolder import RunFolder
from azr_fast.types import Role, Status

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def shown(folder, width=80):
    stream = io.StringIO()
    print_summary(folder, Console(file=stream, width=width))
    return stream.getvalue()


def test_summary_tells_what_was_proposed_and_solved(finished):
    text = shown(finished)
    assert "8 of 500 steps made" in text
    assert "proposed (deduction; 50% of tries solved it; reward +0.50):" in text
    assert "    def f(x):\n        return x + 1\n  input: 1\n  output: 2\n" in text
    assert "solved (deduction; reward +1.00):" in text
    assert "    it is 2\n" in text
    assert "not solved (deduction; reward -0.50):" in text
    assert "    it is 3\n" in text


def test_a_run_is_as_long_as_its_schedule(run, write_steps, metrics_line):
    """Iterations may end before `run.steps`."""
    write_steps(run, [1, 2, 3], line_of=lambda *step: metrics_line(*step) | {"of": 3})
    assert "3 of 3 steps made" in shown(run.path)


def row(text, name):
    return next(line.split() for line in text.splitlines() if line.strip().startswith(name))


def test_tables_compare_the_first_steps_with_the_last(finished):
    text = shown(finished)
    # Means of four steps: valid shares 0, 1/4, 1/4, 2/4 and 2/4, 3/4, 3/4, 1.
    assert row(text, "valid and new")[4:6] == ["25%", "75%"]
    assert row(text, "valid proposals")[2:4] == ["25%", "75%"]
    assert row(text, "solved tasks")[2:4] == ["50%", "50%"]
    proposer = row(text, "deduction/proposer")
    assert proposer[1:] == ["-0.62", "+0.12", "25%", "75%", "25%", "75%"]
    assert row(text, "deduction/solver")[1:] == ["+0.25", "+0.25", "50%", "50%"]
    assert "▁▃▃▅▅▇▇█" in text


def test_summary_names_speed_verdicts_folder_and_what_is_next(finished):
    text = shown(finished)
    assert "verdicts on the last proposals: ok 75%, no_answer 25%" in text
    prose = " ".join(text.split())
    assert "a step took 9.5 s: play 2.0, update 7.0, sync 0.5; 450 tokens/s were sampled" in prose
    assert (
        "waiting for verdicts with nothing left to sample took 0.30 s of a step, 3% of it" in prose
    )
    assert "100% were trained on; of all tokens trained on 25% had a gradient" in prose
    assert f"run folder: {finished}\n" in text
    assert f"azr-fast report {finished} --plot curves.png\n" in text
    assert f"azr-fast train --resume {finished} --time-limit 60\n" in text


def test_a_run_that_made_all_its_steps_is_resumed_with_more(finished):
    RunFolder.resume(finished, {"run.steps": 8}).close()
    assert f"azr-fast train --resume {finished} --run.steps 16\n" in shown(finished)


def test_summary_reads_well_on_80_columns_without_colour(finished):
    text = shown(finished)
    assert "\x1b" not in text
    assert "…" not in text
    assert all(len(line) <= 80 for line in text.splitlines() if str(finished) not in line)


def test_long_answers_are_cut_for_people(run, episode, write_steps):
    answer = episode("deduction", Role.SOLVER, Status.PASSED, text="x" * 300 + "\nline" * 50)
    write_steps(run, [1], lambda step: [answer])
    text = shown(run.path)
    assert "x…\n" in text
    assert "… 37 lines more" in text


def test_a_run_without_a_finished_step(run):
    text = shown(run.path)
    assert "0 of 500 steps made" in text
    assert "no step is finished yet" in text
    assert "--plot" not in text
    with pytest.raises(UserError, match="has no finished step to plot"):
        plot_run(run.path, run.path / "curves.png")


def test_plot_draws_a_picture(finished, tmp_path):
    assert plot_run(finished, tmp_path / "curves") == tmp_path / "curves.png"
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    plot_run(finished, tmp_path / "curves.svg")
    assert "<svg" in (tmp_path / "curves.svg").read_text()


def test_plot_that_cannot_be_written_or_drawn(finished, tmp_path, monkeypatch):
    for name in ("none/curves.png", "curves.xyz"):
        with pytest.raises(UserError, match=r"cannot write .*give a path like curves\.png"):
            plot_run(finished, tmp_path / name)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match=r"--plot needs matplotlib: .*pip install '\.\[plot\]'"):
        plot_run(finished, tmp_path / "curves.png")


def test_the_learnable_share_stands_beside_valid_and_new(finished):
    # Half of the tries solve each valid task, so all of these are learnable.
    assert row(shown(finished), "learnable")[2:4] == ["25%", "75%"]


def test_tasks_that_are_always_or_never_solved_are_not_learnable(run, episode, write_steps):
    def answers(step):
        rates = (0.0, 1.0, 0.25, None)
        return [
            episode("a", Role.PROPOSER, Status.PASSED, new=True, accuracy=rate) for rate in rates
        ]

    write_steps(run, [1], answers)
    text = shown(run.path)
    assert row(text, "valid and new")[4:6] == ["100%", "100%"]
    assert row(text, "learnable")[2:4] == ["25%", "25%"]


def test_a_run_that_goes_on_is_watched_and_not_resumed(finished):
    with RunFolder.resume(finished):
        text = shown(finished)
        assert "8 of 500 steps made, going on now" in text
        assert "--resume" not in text
        assert f"azr-fast report {finished} --serve\n" in text
    assert "going on" not in shown(finished)


@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-0.5b"])
def test_metrics_of_an_older_version_are_reported(run, name, tmp_path):
    run.metrics.write_text((RESULTS / f"{name}.jsonl").read_text())
    assert row(shown(run.path), "learnable")[2:4] == ["-", "-"]
    plot_run(run.path, tmp_path / "curves.svg")


def test_a_run_of_a_newer_version_is_refused_by_name(finished):
    (finished / "run.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="has format 99, this azr-fast reads"):
        shown(finished)


def test_keys_of_a_game_that_is_not_installed_are_no_hindrance(finished):
    config = finished / "config.toml"
    config.write_text(config.read_text().replace('name = "azr"', 'name = "chess"\nboard = 8'))
    assert "8 of 500 steps made" in shown(finished)


def test_a_damaged_config_is_refused_by_name(finished):
    for text in ("", "[run]\nsteps = 3", "steps ="):
        (finished / "config.toml").write_text(text)
        with pytest.raises(UserError, match=r"config\.toml is damaged"):
            shown(finished)


def test_a_plot_shows_a_run_of_one_step(run, tmp_path, write_steps):
    write_steps(run, [2])
    picture = plot_run(run.path, tmp_path / "curves.svg").read_text()
    # Four curves of proposals, solved, reward and speed, a mark each; the legends have theirs too.
    drawn = [part for part in picture.split('<g id="line2d_')[1:] if "stroke: #" in part]
    assert sum("<use" in part for part in drawn) >= 7


def test_what_a_model_wrote_does_not_command_the_terminal(run, episode, write_steps):
    text = "\x1b[2J\x1b]0;title\x07 [red]x[/red] \u202eabc\tz\r\nnext\x9b31m"
    answer = episode("deduction", Role.SOLVER, Status.WRONG, "wrong_output", text=text)
    write_steps(run, [1], lambda step: [answer])
    told = shown(run.path)
    assert not set("\x1b\x07\x9b\r\u202e") & set(told)
    assert "    \\x1b[2J\\x1b]0;title\\x07 [red]x[/red] \\u202eabc" in told
