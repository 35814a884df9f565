"""Playing something again after what it needs has died, until it is whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import torch

from azr_fast.errors import NotFinite, UserError
from azr_fast.observe.runfolder import RunFolder
from azr_fast.policy.checkpoint import MODEL_FOLDER
from azr_fast.policy.models import ModelFiles, resolve_model
from azr_fast.rollout.engine import Engine, EngineDied
from azr_fast.rollout.parity import ParityError
from azr_fast.sandbox.client import SandboxLost

DEATHS = (EngineDied, SandboxLost)
DOUBTS = (ParityError, NotFinite)  # the engine may hold wrong weights
# How often something is played again. A program or a prompt that kills what it meets will do so
# each time; weights that were sent again and are still wrong stay so.
AFTER_DEATHS, AFTER_DOUBTS = 3, 1


def play_whole(
    what: str,
    play: Callable[[], None],
    mend: Callable[[Exception], None],
    note: Callable[[str], None],
) -> None:
    """Play `what`, which leaves nothing of an attempt that failed, until it succeeds.

    `mend` starts anew what died. Raises what ended the last attempt, and what `mend` raises.
    """
    for again in count(1):
        try:
            play()
            return
        except (*DEATHS, *DOUBTS) as failure:
            limit = AFTER_DEATHS if isinstance(failure, DEATHS) else AFTER_DOUBTS
            if again > limit:
                raise
            note(f"{failure}: {_remedy(failure)}, playing {what} again ({again} of {limit})")
            mend(failure)


def _remedy(failure: Exception) -> str:
    return "starting it anew" if isinstance(failure, DEATHS) else "sending the weights again"


def restart_engine(engine: Engine, run: RunFolder) -> None:
    """Start an engine anew that died, with the newest weights on the disk. Random numbers that are
    drawn for it are none of the run's. Raises UserError when that cannot be done."""
    with torch.random.fork_rng():
        engine.restart(model_files(run))


def model_files(run: RunFolder) -> ModelFiles:
    """What the model of a run is loaded from: its newest checkpoint, or what the config names.

    A checkpoint holds a whole model with its tokenizer, so going on from one needs nothing else;
    one of adapters needs the model under them. Raises UserError when there is neither.
    """
    name = run.config.model.name
    step = run.latest_checkpoint()
    # That of step 0 holds tasks alone, and where adapters learn no checkpoint holds their base.
    if step and not run.config.roles.adapters:
        return ModelFiles((run.checkpoint(step) / MODEL_FOLDER).resolve(), name)
    if run.resumed and Path(name).is_absolute() and not Path(name).exists():
        raise UserError(
            f"the run's model {name} is gone and no checkpoint of the run holds it: put it back, "
            "or start a new run"
        )
    return resolve_model(name)


def reference_files(run: RunFolder) -> ModelFiles | None:
    """The model that a run began with, where `update.kl` pulls towards it. Raises UserError when it
    is gone: no checkpoint holds it."""
    name = run.config.model.name
    if not run.config.update.kl:
        return None
    if Path(name).is_absolute() and not Path(name).exists():
        raise UserError(
            f"update.kl pulls towards the run's model {name}, which is gone: put it back, or start "
            "a new run"
        )
    return resolve_model(name)
