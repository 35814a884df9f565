"""Everything a run needs, opened in order and closed on every way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.games.azr import AzrGame
from azr_fast.observe.progress import Observer
from azr_fast.observe.runfolder import RunFolder
from azr_fast.policy.chat import Renderer
from azr_fast.policy.device import resolve_device
from azr_fast.policy.models import ModelFiles, resolve_model
from azr_fast.policy.policy import Policy
from azr_fast.rollout import open_engine
from azr_fast.rollout.parity import prove_engine
from azr_fast.sandbox.client import Client
from azr_fast.sandbox.launcher import check_socket_path, open_sandbox
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.loop import Parts, Trainer


def check_start(config: Config) -> ModelFiles:
    """What can be refused before a run folder is made: the device, the model, the socket's path.

    Raises UserError; returns the model's files.
    """
    resolve_device(config.model.device)
    if config.sandbox.socket:
        check_socket_path(config.sandbox.socket)
    return resolve_model(config.model.name)


@contextmanager
def open_trainer(
    config: Config, run: RunFolder, observer: Observer, should_stop: Callable[[], bool]
) -> Iterator[Trainer]:
    """A trainer with its model, engine, sandbox and buffers.

    Raises UserError for what a user can mend: the cheap checks come before the slow loading.
    """
    with ExitStack() as stack:
        observer.phase("load", None)
        files = check_start(config)
        client = stack.enter_context(open_sandbox(config.sandbox))
        _check_zygotes(client, config.game.determinism_runs)
        buffer = stack.enter_context(closing(TaskBuffer(run.tasks, config.buffer.capacity)))
        renderer = Renderer(files.folder)
        engine = stack.enter_context(
            closing(open_engine(config.rollout, files, renderer, config.model, config.run.seed))
        )
        policy = Policy(files, config.model, config.update, config.rollout.temperature)
        prove_engine(engine, policy, renderer, config)
        parts = Parts(AzrGame(config.game, client), buffer, policy, engine, renderer)
        yield Trainer(config, parts, run, observer, should_stop)


def _check_zygotes(client: Client, runs: int) -> None:
    """UserError unless the daemon has an interpreter for each run that must agree."""
    ours = "pool=default,tier=fork,"  # a daemon that runs already may have others
    zygotes = sum(line.startswith(ours) for line in client.info()["zygotes"].values())
    if runs > zygotes:
        raise UserError(
            f"game.determinism_runs is {runs} and azr-sandboxd has {zygotes} zygotes: "
            f"raise sandbox.zygotes to {runs}, or lower game.determinism_runs"
        )
