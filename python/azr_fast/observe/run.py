"""What is on disk of a run, as it is: going on or over, old, of a game that is not installed."""

from __future__ import annotations

import fcntl
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azr_fast.errors import UserError
from azr_fast.observe.files import read_lines
from azr_fast.observe.runfolder import CONFIG_FILE, RUN_FILE, check_format

Metrics = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder's config as it is written, its steps, and whether a process trains in it."""

    folder: Path
    config: Mapping[str, Any]  # section to key to value; keys of a game that is not installed too
    lines: Sequence[Metrics]
    living: bool

    @property
    def model(self) -> str:
        """The name of the model that the run began with."""
        return str(self.config["model"]["name"])

    @property
    def steps(self) -> int:
        """How many steps the run is to make, by its newest: a schedule may end before run.steps.
        Of an older run, and before the first step, what was asked for."""
        newest = self.lines[-1].get("of") if self.lines else None
        return int(newest or self.config["run"]["steps"])

    @property
    def tasks(self) -> Path:
        """The SQLite file of its tasks."""
        return self.folder / "tasks.db"

    def sample_files(self) -> list[Path]:
        """The files of sampled episodes, oldest first."""
        return sorted((self.folder / "samples").glob("step-*.jsonl"))

    def first_scores(self) -> Metrics | None:
        """The scores on benchmarks before the first step, as lines have those after it; None where
        the run has none."""
        return next(read_lines(self.folder / "evals" / "step-000000.json"), None)

    def newest_samples(self) -> Iterator[Metrics]:
        """Sampled episodes, those of the newest step first."""
        for path in reversed(self.sample_files()):
            yield from read_lines(path)


def read_run(folder: Path) -> Run:
    """The run in `folder`. UserError when that is no run folder that this version can read."""
    check_format(folder)
    living = is_living(folder)
    return Run(folder, _config(folder), list(read_lines(folder / "metrics.jsonl")), living)


def is_living(folder: Path) -> bool:
    """Whether a process trains in this run folder: it holds a lock on run.json (flock(2))."""
    descriptor = os.open(folder / RUN_FILE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _config(folder: Path) -> Mapping[str, Any]:
    """The TOML tables. They are not checked against the schema: a run of a game that is not
    installed, or with keys that are no more, can be read all the same."""
    path = folder / CONFIG_FILE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        str(tables["model"]["name"]), int(tables["run"]["steps"])
    except (OSError, ValueError, TypeError, KeyError):  # absent, no TOML, keys that are missing
        raise UserError(
            f"{path} is damaged: restore it from a copy, or from another run of the same config"
        ) from None
    return tables


def at(line: Metrics, *keys: str) -> float | None:
    """The number under these keys of a line; None where an older run, or a step without an update,
    does not have it."""
    value: object = line
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else None
