"""The numbers of a run where people keep those of others: TensorBoard, Weights & Biases, trackio.

`metrics.jsonl` has everything, whatever becomes of a tracker. One that fails while a run goes on is
told once and left out from then on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.observe.progress import Observer
from azr_fast.observe.runfolder import RUN_FILE
from azr_fast.observe.typed import how_to_install

Numbers = Mapping[str, float]

PROJECT = "azr-fast"
TEXTS = ("codes",)  # counts by verdict, of which a game may have dozens


class Tracker(Protocol):
    """Somewhere that the numbers of steps are sent."""

    def log(self, step: int, numbers: Numbers) -> None:
        """Take the numbers of a step. A run that was resumed may log a step again."""

    def close(self) -> None:
        """Send what is left."""


class TensorBoard:
    """Event files in the run folder: `tensorboard --logdir runs` shows all runs."""

    def __init__(self, folder: Path, config: Config) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, step: int, numbers: Numbers) -> None:
        """A scalar each."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class WeightsAndBiases:
    """A run of wandb; its own environment variables (WANDB_MODE, WANDB_ENTITY, …) say where."""

    def __init__(self, folder: Path, config: Config) -> None:
        import wandb

        self._run = wandb.init(
            project=PROJECT,
            name=folder.name,
            id=run_id(folder),
            resume="allow",
            dir=folder,
            config=config.model_dump(),
        )
        # Its own steps may only grow; ours are played again after a resume.
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, numbers: Numbers) -> None:
        """All at once, over our own steps."""
        self._run.log({**numbers, "step": step})

    def close(self) -> None:
        """Wait until all is sent."""
        self._run.finish()


class Trackio:
    """A run of trackio, kept on this machine: `trackio show` opens it."""

    def __init__(self, folder: Path, config: Config) -> None:
        import trackio

        self._trackio = trackio
        trackio.init(
            project=PROJECT,
            name=run_id(folder),
            config=config.model_dump(mode="json"),
            resume="allow",
            embed=False,
        )

    def log(self, step: int, numbers: Numbers) -> None:
        """All at once; `time` is a name that trackio keeps for itself."""
        renamed = {"elapsed" if name == "time" else name: v for name, v in numbers.items()}
        self._trackio.log(renamed, step=step)

    def close(self) -> None:
        """Write what is left."""
        self._trackio.finish()


_TRACKERS: Mapping[str, Callable[[Path, Config], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "trackio": Trackio,
}


def check_trackers(names: Sequence[str]) -> None:
    """Raise UserError for a tracker whose package is not installed, before anything is loaded."""
    for name in names:
        if find_spec(name) is None:
            raise UserError(
                f"run.trackers names {name}, which is not installed: pip install {name} "
                f"({how_to_install('trackers')}), or leave it out: metrics.jsonl has everything"
            )


def run_id(folder: Path) -> str:
    """The run's name and when it was made: the same after a resume, another for another run."""
    created = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))["created"]
    return f"{folder.resolve().name}-{int(created)}"


def numbers_of(value: object, name: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a line of metrics.jsonl, named by their places: `update/entropy`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in TEXTS:
                yield from numbers_of(inner, f"{name}/{key}" if name else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


class Tracked:
    """An observer whose steps are sent to trackers too."""

    def __init__(self, observer: Observer, trackers: Mapping[str, Tracker]) -> None:
        self._observer = observer
        self.trackers = dict(trackers)
        self.start = observer.start
        self.phase = observer.phase
        self.advance = observer.advance
        self.note = observer.note
        self.close = observer.close

    def step(self, metrics: Mapping[str, Any]) -> None:
        """Send the numbers of a step; a run goes on without a tracker that fails."""
        numbers = {name: value for name, value in numbers_of(metrics) if name != "step"}
        for name, tracker in list(self.trackers.items()):
            self._try(name, partial(tracker.log, metrics["step"], numbers))
        self._observer.step(metrics)

    def end(self) -> None:
        """Close the trackers."""
        for name, tracker in list(self.trackers.items()):
            self._try(name, tracker.close)

    def _try(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # of a library, a disk or a network that is none of ours
            del self.trackers[name]
            fault = f"{type(error).__name__}: {error}".splitlines()[0]
            self.note(f"{name} failed and gets no more ({fault}); metrics.jsonl has everything")


@contextmanager
def tracked(observer: Observer, config: Config, folder: Path) -> Iterator[Observer]:
    """`observer`, which also sends steps where `run.trackers` says.

    UserError when a tracker cannot be opened, for want of a login say.
    """
    opened = Tracked(observer, {})
    try:
        for name in config.run.trackers:
            opened.trackers[name] = _open(name, config, folder)
        yield opened if config.run.trackers else observer
    finally:
        opened.end()


def _open(name: str, config: Config, folder: Path) -> Tracker:
    try:
        return _TRACKERS[name](folder, config)
    except Exception as error:
        fault = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"{name} cannot be opened ({fault}): mend that, or leave it out of run.trackers"
        ) from error
