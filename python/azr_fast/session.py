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
from azr_fast.policy.memory import check_memory
from azr_fast.policy.models import ModelFiles, resolve_model
from azr_fast.policy.policy import Policy
from azr_fast.rollout import open_engine
from azr_fast.rollout.parity import ParityProbe
from azr_fast.sandbox.client import Client
from azr_fast.sandbox.launcher import check_socket_path, open_sandbox
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.loop import Parts, Trainer

# Text that the parity probe scores: prose, code and rare characters, fixed for ever so that the
# figures of different runs compare.
PROBE_TEXTS = (
    "The quick brown fox jumps over the lazy dog, and 37 other animals watch it do so.",
    "def f(items, k):\n    counts = {}\n    for item in items:\n"
    "        counts[item] = counts.get(item, 0) + 1\n"
    "    return sorted(counts.items(), key=lambda pair: -pair[1])[:k]\n",
    "```input\n[3, 1, 2], 'naïve café ∑ 漢字'\n```\n```output\n{'a': (1, 2.5), 'b': None}\n```",
)


def check_start(config: Config) -> ModelFiles:
    """What can be refused before a run folder is made: the device, the model, the socket's path,
    memory that is too small.

    Raises UserError; returns the model's files.
    """
    device = resolve_device(config.model.device)
    if config.sandbox.socket:
        check_socket_path(config.sandbox.socket)
    files = resolve_model(config.model.name)
    check_memory(config, device.type)
    return files


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
        probe = ParityProbe(engine, policy, renderer, PROBE_TEXTS, config.parity)
        parts = Parts(AzrGame(config.game, client), buffer, policy, engine, renderer, probe)
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
