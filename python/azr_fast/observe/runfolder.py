"""The folder of a run: where everything lies, who may write it, and going back to a checkpoint."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from azr_fast.config.keys import keys_of
from azr_fast.config.load import dump_config, load_config
from azr_fast.config.schema import Config, MonitorConfig
from azr_fast.errors import UserError
from azr_fast.observe.draft import Draft, lock_file
from azr_fast.observe.files import json_line, read_lines, write_whole
from azr_fast.observe.places import anchored
from azr_fast.policy.checkpoint import latest_checkpoint

CONFIG_FILE, RUN_FILE = "config.toml", "run.json"
FOLDERS = ("samples", "checkpoints")
FORMAT = 1  # of the folder; a run from another format is refused
RESUMABLE_KEYS = (
    "run.steps",
    "run.time_limit_minutes",
    "run.checkpoint_every",
    "run.keep_checkpoints",
    "run.keep_every",
    "run.keep_best",
    *(f"monitor.{name}" for name in MonitorConfig.model_fields),
)


class RunFolder:
    """A run folder that this process alone may write, until `close`.

    config.toml              the resolved config
    run.json                 format of the folder; locked while a process runs in it
    metrics.jsonl            one line per step
    tasks.db                 the task buffers
    samples/step-NNNNNN.jsonl  answers of a step
    checkpoints/step-N/      everything to go on from step N
    set-aside-N/             what was there when the run began anew, or a checkpoint was damaged
    """

    def __init__(self, path: Path, config: Config, lock: int, draft: Draft | None = None) -> None:
        """Use `begin`, `create` or `resume`."""
        self.path = path
        self.config = config
        self._lock = lock
        self._draft = draft  # of a new run, until it is settled
        self.resumed = draft is None

    @classmethod
    def begin(cls, config: Config) -> Self:
        """Take the name of a new run. Its folder is there from `settle` on, or never.

        UserError when the name is taken or the folder cannot be made.
        """
        config = anchored(config)
        name = config.run.name or time.strftime("%Y%m%d-%H%M%S")
        path = Path(config.run.dir) / name
        try:
            draft = Draft(path, RUN_FILE, lambda folder: _fill(folder, config))
        except OSError as error:
            raise UserError(_unmakeable(path, error)) from None
        return cls(path, config, draft.lock, draft)

    @classmethod
    def create(cls, config: Config) -> Self:
        """`begin` and `settle` at once."""
        run = cls.begin(config)
        run.settle()
        return run

    @classmethod
    def resume(cls, path: Path, overrides: Mapping[str, Any] | None = None) -> Self:
        """Open a folder to go on with its run. Of `overrides` only RESUMABLE_KEYS may change."""
        check_format(path)
        lock = _lock(path)
        try:
            config = resumed_config(path, overrides)
            text = dump_config(config)
            if text != (path / CONFIG_FILE).read_text(encoding="utf-8"):
                write_whole(path / CONFIG_FILE, text)
        except OSError as error:
            os.close(lock)
            raise UserError(_unwritable(path, error)) from None
        except BaseException:
            os.close(lock)
            raise
        return cls(path, config, lock)

    def settle(self) -> str:
        """Make the folder ready to play in, after all that can fail was loaded.

        A new one appears; one that is resumed is put back to its newest checkpoint, or begins anew
        without one. Returns a line on what became of the steps after that; empty: there were none.
        """
        if not self.resumed:
            self._appear()
            return ""
        for folder in FOLDERS:
            (self.path / folder).mkdir(exist_ok=True)
        step = self.latest_checkpoint()
        return self._begin_anew() if step is None else self._go_on(step)

    def _appear(self) -> None:
        if self._draft:
            try:
                self._draft.settle()
            except OSError as error:
                self.close()
                raise UserError(_unmakeable(self.path, error)) from None
            self._draft = None

    def _begin_anew(self) -> str:
        kept = self._set_aside(
            [self.metrics, *self.path.glob("tasks.db*"), *self._samples(), *self._checkpoints()]
        )
        where = f"; what was there is kept in {kept}" if kept else ""
        return f"no whole checkpoint: the run begins anew{where}"

    def _go_on(self, step: int) -> str:
        damaged = self._set_aside([p for p in self._checkpoints() if _step_of(p) > step])
        cut = self.rewind(step)
        notes = [f"goes on after step {step}"]
        if cut:
            notes += [f"{_span(cut)} came after its checkpoint and will be played again"]
        if damaged:
            notes += [f"damaged checkpoints of later steps are kept in {damaged}"]
        return "; ".join(notes) if notes[1:] else ""

    def _set_aside(self, paths: Sequence[Path]) -> Path | None:
        """Move what exists of `paths` into a new folder; that folder, if anything was there."""
        found = [path for path in paths if path.exists()]
        if not found:
            return None
        places = (self.path / f"set-aside-{number}" for number in count(1))
        aside = next(place for place in places if not place.exists())
        for path in found:
            target = aside / path.relative_to(self.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        return aside

    @property
    def made(self) -> bool:
        """Whether the folder is there for others to see."""
        return self._draft is None

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

    def rewind(self, step: int) -> list[int]:
        """Cut metrics and samples of the steps after `step`, as if they had not been made.

        Returns the steps that were cut.
        """
        lines = list(read_lines(self.metrics))
        kept = [json_line(line) for line in lines if line["step"] <= step]
        write_whole(self.metrics, "".join(kept))
        for path in self._samples():
            if path > self.samples(step):
                path.unlink()
        return [line["step"] for line in lines if line["step"] > step]

    def seconds(self) -> float:
        """How long the steps of metrics.jsonl have taken, seeding included."""
        return max((line["time"] for line in read_lines(self.metrics)), default=0.0)

    def _samples(self) -> list[Path]:
        return sorted((self.path / "samples").glob("step-*.jsonl"))

    def _checkpoints(self) -> list[Path]:
        """All of them, whole or damaged."""
        return list((self.path / "checkpoints").glob("step-*"))

    def close(self) -> None:
        """Let other processes in. A new folder that was never settled goes. Idempotent."""
        if self._draft:
            self._draft.discard()
            self._draft = None
        elif self._lock >= 0:
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
        about = json.loads((path / RUN_FILE).read_text(encoding="utf-8"))
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
    old = load_config(path / CONFIG_FILE)  # its paths were made absolute when it was stored
    new = load_config(path / CONFIG_FILE, overrides)
    if overrides and {"model.name", "sandbox.socket"} & overrides.keys():
        new = anchored(new)
    before, after = old.model_dump(), new.model_dump()
    for key in keys_of(type(old)).fields:
        section, _, name = key.partition(".")
        if before[section][name] != after.get(section, {}).get(name) and key not in RESUMABLE_KEYS:
            raise UserError(
                f"{key} cannot change when a run is resumed: leave it out or start a new run "
                f"(these can change: {', '.join(_shown(RESUMABLE_KEYS))})"
            )
    return new


def _shown(keys: Sequence[str]) -> list[str]:
    """Keys for people; of a section that may change as a whole, its name."""
    return list(dict.fromkeys(k if k.startswith("run.") else k.split(".")[0] + ".*" for k in keys))


def _fill(folder: Path, config: Config) -> None:
    """Write the files of a new run; run.json in place, because it is locked."""
    for name in FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    write_whole(folder / CONFIG_FILE, dump_config(config))
    with (folder / RUN_FILE).open("w", encoding="utf-8") as file:
        file.write(json_line({"format": FORMAT, "created": time.time()}))
        file.flush()
        os.fsync(file.fileno())


def _unmakeable(path: Path, error: OSError) -> str:
    return (
        f"cannot make run folder {path}: {error.strerror}; choose another --run.dir or --run.name"
    )


def _unwritable(path: Path, error: OSError) -> str:
    return (
        f"cannot write in run folder {path}: {error.strerror}; mend its permissions or free some "
        "space, or start a new run"
    )


def _lock(path: Path) -> int:
    busy = f"run folder {path} is in use by another azr-fast: wait for it or stop it first"
    try:
        return lock_file(path / RUN_FILE, busy)
    except OSError as error:
        raise UserError(_unwritable(path, error)) from None


def _step_of(checkpoint: Path) -> int:
    """The step in its name; -1 for another name."""
    number = checkpoint.name.removeprefix("step-")
    return int(number) if number.isdecimal() else -1


def _span(steps: Sequence[int]) -> str:
    return f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"
