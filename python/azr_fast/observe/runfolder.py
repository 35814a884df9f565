"""The folder of a run: where everything lies, who may write it, and going back to a checkpoint."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from azr_fast.config.keys import FIELDS
from azr_fast.config.load import dump_config, load_config
from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.observe.files import json_line, read_lines, write_whole
from azr_fast.observe.typed import typed
from azr_fast.policy.checkpoint import latest_checkpoint

FORMAT = 1  # of the folder; a run from another format is refused
RESUMABLE_KEYS = (
    "run.steps",
    "run.time_limit_minutes",
    "run.checkpoint_every",
    "run.keep_checkpoints",
)


class RunFolder:
    """A run folder that this process alone may write, until `close`.

    config.toml              the resolved config
    run.json                 format of the folder; locked while a process runs in it
    metrics.jsonl            one line per step
    tasks.db                 the task buffers
    samples/step-NNNNNN.jsonl  answers of a step
    checkpoints/step-N/      everything to go on from step N
    """

    def __init__(self, path: Path, config: Config) -> None:
        """Lock `path`. Use `create` or `resume`."""
        self.path = path
        self.config = config
        self._lock = _lock(path)

    @classmethod
    def create(cls, config: Config) -> Self:
        """Make a new folder for `config`. UserError when its name is taken or cannot be made."""
        name = config.run.name or time.strftime("%Y%m%d-%H%M%S")
        path = Path(config.run.dir) / name
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise UserError(
                    f"run folder {path} exists: choose another --run.name, "
                    f"or go on with it: {typed()} train --resume {path}"
                )
            for folder in ("samples", "checkpoints"):
                (path / folder).mkdir()
            write_whole(path / "config.toml", dump_config(config))
            write_whole(path / "run.json", json_line({"format": FORMAT, "created": time.time()}))
        except OSError as error:
            raise UserError(
                f"cannot make run folder {path}: {error.strerror}; choose another --run.dir or "
                "--run.name"
            ) from None
        return cls(path, config)

    @classmethod
    def resume(cls, path: Path, overrides: Mapping[str, Any] | None = None) -> Self:
        """Open a folder to go on with its run. Of `overrides` only RESUMABLE_KEYS may change."""
        config = resumed_config(path, overrides)
        folder = cls(path, config)
        text = dump_config(config)
        if text != (path / "config.toml").read_text(encoding="utf-8"):
            write_whole(path / "config.toml", text)
        return folder

    @property
    def metrics(self) -> Path:
        """One JSON line per step."""
        return self.path / "metrics.jsonl"

    @property
    def tasks(self) -> Path:
        """The SQLite file of the task buffers."""
        return self.path / "tasks.db"

    def samples(self, step: int) -> Path:
        """Where answers of `step` are saved."""
        return self.path / "samples" / f"step-{step:06d}.jsonl"

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint taken after `step`."""
        return self.path / "checkpoints" / f"step-{step}"

    def latest_checkpoint(self) -> int | None:
        """The newest step with a whole checkpoint to resume from; None before the first."""
        newest = latest_checkpoint(self.path / "checkpoints")
        return int(newest.name.removeprefix("step-")) if newest else None

    def rewind(self, step: int) -> None:
        """Cut metrics and samples of the steps after `step`, as if they had not been made."""
        kept = [json_line(line) for line in read_lines(self.metrics) if line["step"] <= step]
        write_whole(self.metrics, "".join(kept))
        for path in (self.path / "samples").glob("step-*.jsonl"):
            if path > self.samples(step):
                path.unlink()

    def close(self) -> None:
        """Let other processes in. Idempotent."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_format(path: Path) -> None:
    """UserError unless `path` is a run folder that this version can read."""
    try:
        about = json.loads((path / "run.json").read_text(encoding="utf-8"))
        found = about["format"]
    except (OSError, ValueError, TypeError, KeyError):  # absent, no JSON, no object, no format
        raise UserError(
            f"{path} is not a run folder (no readable run.json): give the folder that "
            "`azr-fast train` named"
        ) from None
    if found != FORMAT:
        raise UserError(
            f"run folder {path} has format {found}, this azr-fast reads format {FORMAT}: "
            "use the version of azr-fast that made it, or start a new run"
        )


def resumed_config(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """The config that the run in `path` would go on with. UserError for a key that must stay."""
    check_format(path)
    old = load_config(path / "config.toml")
    new = load_config(path / "config.toml", overrides)
    before, after = old.model_dump(), new.model_dump()
    for key in FIELDS:
        section, _, name = key.partition(".")
        if before[section][name] != after[section][name] and key not in RESUMABLE_KEYS:
            raise UserError(
                f"{key} cannot change when a run is resumed: leave it out or start a new run "
                f"(these can change: {', '.join(RESUMABLE_KEYS)})"
            )
    return new


def _lock(path: Path) -> int:
    """An exclusive lock on the folder, held by the descriptor returned; the kernel frees it."""
    try:
        descriptor = os.open(path / "run.json", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(
            f"cannot write in run folder {path}: {error.strerror}; mend its permissions, or start "
            "a new run"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(
            f"run folder {path} is in use by another azr-fast: wait for it or stop it first"
        ) from None
    return descriptor
