"""Whole runs of `azr-fast` with a tiny model, in folders, and what they leave."""

import json
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

KEYS = {
    "game.name": "even",
    "run.steps": 6,
    "run.checkpoint_every": 2,
    "run.keep_every": 4,
    "run.time_limit_minutes": 0,
    "model.dtype": "float32",
    "rollout.engine": "transformers",
    "rollout.max_new_tokens": 12,
    "rollout.max_prompt_tokens": 400,
    "play.proposals": 4,
    "play.solves": 3,
    "play.price_samples": 2,
    "seeding.tasks": 4,
    "seeding.proposals": 8,
    "seeding.batch": 4,
    "buffer.capacity": 20,
    "advantage.estimator": "rae",
    "update.lr": 1e-3,
    "sandbox.zygotes": 2,
}
# Two models that learn in turns, the solver from a pool of tasks.
APART = {
    "run.steps": 8,
    "roles.proposer": "separate",
    "schedule.name": "alternate",
    "schedule.iterations": 2,
    "schedule.proposer_steps": 2,
    "schedule.pool_proposals": 6,
    "schedule.band_low": 0.0,
    "schedule.band_high": 1.0,
    "schedule.solver_steps": 1,
}
TABLES = ("tasks", "solves", "pools")
TIMES = ("time", "seconds", "tokens_per_s", "memory")  # what no two runs share


@dataclass
class Runs:
    """Runs of the driver in one folder."""

    folder: Path
    model: Path
    driver: subprocess.Popen
    keys: dict = field(default_factory=dict)  # beside KEYS

    def start(self, name, moment=None, folder=None):
        """Begin or resume the run of that name; what the driver says of it."""
        run = (folder or self.folder) / name
        keys = (
            KEYS | self.keys | {"run.dir": run.parent, "run.name": name, "model.name": self.model}
        )
        options = [f"--{key}={value}" for key, value in keys.items()]
        words = ["--resume", str(run)] if run.exists() else ["--preset", "cpu", *options]
        asked = {"words": ["train", *words], "log": str(self.log(name)), "moment": moment}
        self.driver.stdin.write(json.dumps(asked) + "\n")
        self.driver.stdin.flush()
        return json.loads(self.driver.stdout.readline())

    def log(self, name):
        """Where the output of a run is added to."""
        return self.folder / f"{name}.log"

    def finish(self, name, moment=None, folder=None):
        """The same for a run that must be killed or end well."""
        told = self.start(name, moment, folder)
        assert told["killed"] or told["code"] == 0, self.log(name).read_text()
        return told


def left_by(run):
    """All that a run leaves but times."""
    with closing(sqlite3.connect(run / "tasks.db")) as db:
        tables = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        for stats in filter(None, [line["update"], *line["updates"].values()]):
            del stats["seconds"]
    files = sorted([*run.glob("samples/*"), *run.glob("checkpoints/**/*")])
    return {
        "metrics": [{k: v for k, v in line.items() if k not in TIMES} for line in lines],
        "files": {str(f.relative_to(run)): f.read_bytes() for f in files if f.is_file()},
        **tables,
    }


def assert_equal(run, other):
    ours, theirs = left_by(run), left_by(other)
    for part in ("metrics", *TABLES):
        assert ours[part] == theirs[part]
    assert ours["files"].keys() == theirs["files"].keys()
    for name, content in ours["files"].items():
        assert content == theirs["files"][name], name
