import io
import sys
from contextlib import closing

import pytest
from rich.console import Console

from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.observe.metrics import MetricsLog, group_metrics, proposal_rates, solver_rates
from azr_fast.observe.plot import plot_run
from azr_fast.observe.report import print_summary
from azr_fast.observe.runfolder import RunFolder
from azr_fast.observe.samples import save_samples
from azr_fast.types import Role, Status


@pytest.fixture
def run(tmp_path):
    run = RunFolder.create(load_config("cpu", {"run.dir": str(tmp_path), "run.name": "one"}))
    run.close()
    return run


def learning_step(step, episode):
    """Of four proposals one more is valid and new every second step."""
    valid = step // 2
    answers = [
        episode("deduction", Role.PROPOSER, Status.PASSED, reward=0.5, new=True, accuracy=0.5)
        if i < valid
        else episode("deduction", Role.PROPOSER, Status.MALFORMED, "no_answer", reward=-1.0)
        for i in range(4)
    ]
    if valid:
        answers.append(episode("deduction", Role.SOLVER, Status.PASSED, reward=1.0, text="it is 2"))
        answers.append(
            episode(
                "deduction", Role.SOLVER, Status.WRONG, "wrong_output", reward=-0.5, text="it is 3"
            )
        )
    return answers


@pytest.fixture
def finished(run, episode):
    """A run of eight steps, written as a run writes."""
    with closing(MetricsLog(run.metrics)) as log:
        for step in range(1, 9):
            answers = learning_step(step, episode)
            log.append(
                {
                    "step": step,
                    "time": 10.0 * step,
                    "seconds": {
                        "play": 2.0,
                        "update": 7.5,
                        "sync": 0.5,
                        "verify_blocked": 0.3,
                    },
                    "tokens": {"trained": 1.0, "with_gradient": 0.25},
                    "tokens_per_s": 100.0 * step,
                    "groups": group_metrics(answers),
                    "proposals": proposal_rates(answers),
                    "solver": solver_rates(answers),
                }
            )
            save_samples(run.samples(step), answers)
    return run.path


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
    assert "a step took 10.0 s: play 2.0, update 7.5, sync 0.5; 450 tokens/s were sampled" in prose
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


def test_long_answers_are_cut_for_people(run, episode):
    answer = episode("deduction", Role.SOLVER, Status.PASSED, text="x" * 300 + "\nline" * 50)
    with closing(MetricsLog(run.metrics)) as log:
        log.append(
            {
                "step": 1,
                "time": 1.0,
                "seconds": {
                    "play": 1.0,
                    "update": 1.0,
                    "sync": 0.0,
                    "verify_blocked": 0.0,
                },
                "tokens": {"trained": 1.0, "with_gradient": 1.0},
                "tokens_per_s": 1.0,
                "groups": group_metrics([answer]),
                "proposals": proposal_rates([answer]),
                "solver": solver_rates([answer]),
            }
        )
    save_samples(run.samples(1), [answer])
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
