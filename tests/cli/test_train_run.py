"""`azr-fast train` as people run it: a real process, model, engine and sandbox."""

import json
import signal
import subprocess
import sys

import pytest

SMALL = {
    "run.name": "one",
    "run.checkpoint_every": 100,
    "run.time_limit_minutes": 0,
    "game.kinds": "deduction",
    "play.proposals": 2,
    "play.solves": 2,
    "play.price_samples": 2,
    "seeding.tasks": 0,
    "rollout.max_new_tokens": 16,
    "rollout.cache_gib": 0.5,
}


@pytest.fixture
def start(tmp_path):
    """Starts `azr-fast train`; whatever still runs at the end is killed."""
    started = []

    def run(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "azr_fast.cli", "train", *words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def steps_of(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


@pytest.mark.engine
def test_ctrl_c_leaves_a_checkpoint_and_resume_goes_on(tmp_path, start, model_name):
    keys = SMALL | {"model.name": model_name}
    words = [word for key, value in keys.items() for word in (f"--{key}", str(value))]
    trainer = start("--preset", "cpu", *words)
    shown = []
    for line in trainer.stdout:
        shown.append(line)
        if line.startswith("step 1/"):
            break
    trainer.send_signal(signal.SIGINT)
    rest, errors = trainer.communicate()
    assert trainer.returncode == 0, errors
    text = "".join(shown) + rest
    for words in (
        f"run runs/one: {model_name}",
        "  play",
        "  update",
        "stopping after a checkpoint",
    ):
        assert words in text
    assert "azr-fast train --resume runs/one" in rest
    assert "deduction/proposer" in rest

    run = tmp_path / "runs" / "one"
    (checkpoint,) = (run / "checkpoints").iterdir()
    done = steps_of(run)[-1]
    assert checkpoint.name == f"step-{done}"

    resumed = start("--resume", "runs/one", "--run.steps", str(done + 1))
    out, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    assert f"going on after step {done}" in out
    assert "  sync" in out  # the engine gets the checkpoint's weights
    assert steps_of(run) == list(range(1, done + 2))
    assert f"{done + 1} of {done + 1} steps made" in out
