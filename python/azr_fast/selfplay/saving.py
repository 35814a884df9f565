"""The checkpoints of a run: when the trainer waits for one, and which are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from azr_fast.config.schema import RunConfig
from azr_fast.errors import UserError
from azr_fast.observe.files import read_lines
from azr_fast.observe.runfolder import RunFolder
from azr_fast.observe.space import what_to_free
from azr_fast.policy.checkpoint import prune_checkpoints, steps_of, write_checkpoint
from azr_fast.policy.footprint import GIB
from azr_fast.policy.memory import free_gib
from azr_fast.policy.snapshot import Snapshot, Snapshots
from azr_fast.policy.writer import Writer
from azr_fast.selfplay.monitor import value_at

STATE_FILE = "state.json"  # in a checkpoint: the step, and how far the task buffers had got
# A copy may take this share of the memory that is free, since the next update needs the rest.
LARGEST_SHARE = 0.5


class Checkpoints:
    """Writes the checkpoints of a run, one at a time.

    A copy of the state is taken and written while play goes on, where memory allows; a run holds
    one copy at most. Where it does not, the run waits for the disk.
    """

    def __init__(self, run: RunFolder, note: Callable[[str], None]) -> None:
        self._run = run
        self._note = note
        self._writer = Writer()
        self._told: set[str] = set()
        self.newest: int | None = None  # the step of the last one that was begun or found

    def write(
        self, step: int, state: Mapping[str, Any], snapshot: Snapshot | Snapshots | None
    ) -> None:
        """Write the checkpoint of a step, of tasks alone or with a policy, perhaps later.

        Raises UserError when this one or the one before it cannot be written.
        """
        self.wait()
        text = json.dumps(state)
        if snapshot and self._has_room(snapshot.bytes):
            copy = snapshot.copied()
            self._writer.start(lambda: self._write(step, text, copy))
        else:
            self._write(step, text, snapshot)
        self.newest = step

    def found(self, step: int) -> None:
        """Go on from the checkpoint of a step; finish what a kill may have left undone after it was
        written."""
        self.newest = step
        self._prune(self._run.checkpoint(step).parent)

    def check(self) -> None:
        """Raise UserError when a checkpoint could not be written."""
        self._writer.check()

    def wait(self) -> None:
        """Wait until the newest is on the disk. Raises UserError when it cannot be."""
        self._writer.wait()

    def _has_room(self, size: int) -> bool:
        room = size / GIB <= LARGEST_SHARE * free_gib()
        how = "while play goes on, from" if room else "while the run waits: too little is free for"
        self._note_once(f"checkpoints are written {how} a copy of {size / GIB:.2g} GiB in memory")
        return room

    def _note_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._note(text)

    def _write(self, step: int, state: str, snapshot: Snapshot | Snapshots | None) -> None:
        def content(folder: Path) -> None:
            (folder / STATE_FILE).write_text(state, encoding="utf-8")
            if snapshot:
                snapshot.write(folder)

        folder = self._run.checkpoint(step)
        try:
            write_checkpoint(folder, content)
        except UserError as error:
            raise UserError(f"{error} ({what_to_free(self._run.path)})") from error
        self._prune(folder.parent)

    def _prune(self, parent: Path) -> None:
        config = self._run.config.run
        best = self._best(steps_of(parent), config) if config.keep_best else None
        prune_checkpoints(parent, config.keep_checkpoints, config.keep_every, best)

    def _best(self, steps: list[int], config: RunConfig) -> int | None:
        """The checkpoint with the highest score, the newest of several."""
        lines = [line for line in read_lines(self._run.metrics) if line["step"] in steps]
        scores = {line["step"]: value_at(line, config.keep_best) for line in lines}
        known = {step: score for step, score in scores.items() if score is not None}
        if lines and not known:
            self._note_once(
                f"run.keep_best: no step with a checkpoint has a number {config.keep_best} in "
                f"{self._run.metrics.name} yet, and none is kept for it"
            )
        return max(known, key=lambda step: (known[step], step), default=None)
