"""Everything a run needs, opened in order and closed on every way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from azr_fast.algorithms import check_groups
from azr_fast.config.games import game_of
from azr_fast.config.schema import Config, RolloutConfig
from azr_fast.observe.progress import Observer
from azr_fast.observe.runfolder import RunFolder
from azr_fast.observe.trackers import check_trackers, tracked
from azr_fast.policy.device import resolve_device
from azr_fast.policy.memory import check_memory
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.room import check_room
from azr_fast.rollout import open_engine
from azr_fast.rollout.decoder import Decoder, RolloutStats
from azr_fast.rollout.episodes import Episodes
from azr_fast.rollout.load import load_renderer
from azr_fast.rollout.parity import prove_engine
from azr_fast.sandbox.client import AsyncClient
from azr_fast.sandbox.launcher import check_socket_path, open_sandbox
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.limit import TimeLimit
from azr_fast.selfplay.loop import Trainer
from azr_fast.selfplay.player import Parts
from azr_fast.selfplay.policies import open_policies
from azr_fast.selfplay.recovery import model_files, reference_files
from azr_fast.selfplay.schedule import open_schedule
from azr_fast.selfplay.taskfile import read_tasks
from azr_fast.types import Role, Sampling

if TYPE_CHECKING:
    from azr_fast.evaluate.training import Scorer

LOADED = 4  # parts that are loaded one after the other


def check_start(run: RunFolder) -> ModelFiles:
    """What can be refused before anything slow: the device, memory that is too small, the socket's
    path, the model's files.

    Raises UserError; returns those files.
    """
    config = run.config
    check_trackers(config.run.trackers)
    open_schedule(config)
    check_groups(config, game_of(config).siblings(config))
    device = resolve_device(config.model.device)
    check_memory(config, device.type)
    check_room(config, device.type)
    if config.seeding.file and run.latest_checkpoint() is None:
        read_tasks(config.seeding.file)
    if config.sandbox.socket:
        check_socket_path(config.sandbox.socket)
    return model_files(run)


@contextmanager
def open_trainer(
    config: Config, run: RunFolder, observer: Observer, should_stop: Callable[[], bool]
) -> Iterator[Trainer]:
    """A trainer with its model, engine, sandbox and buffers.

    Raises UserError for what a user can mend: the cheap checks come before the slow loading, and
    all of that before the folder of a new run appears or that of a resumed one changes.
    """
    with ExitStack() as stack:
        files, first = check_start(run), reference_files(run)
        observer.start(run.path, shown(config), run.latest_checkpoint() or 0)
        observer.phase("load", None)
        observer.advance(0, LOADED, "sandbox and tokenizer")
        client = stack.enter_context(open_sandbox(config.sandbox))
        runner = stack.enter_context(asyncio.Runner())
        scorer = stack.enter_context(scoring(config, runner))
        programs = AsyncClient(client.path, client.limits, config.sandbox.connections)
        stack.callback(lambda: runner.run(programs.close()))
        game = game_of(config).open(config, client, programs)
        renderer = load_renderer(files, config.model.chat == "plain")
        # The policy first: its refusal of a model names the layer.
        observer.advance(1, LOADED, "model")
        policies = open_policies(config, files, first)
        observer.note(f"attention over packs: {policies[Role.SOLVER].attention}")
        observer.advance(2, LOADED, "engine")
        engine = stack.enter_context(
            closing(open_engine(config.rollout, files, renderer, config.model, config.run.seed))
        )
        observer.advance(3, LOADED, "proof that both compute the same")
        prove_engine(engine, policies[Role.SOLVER], renderer, config)
        if note := run.settle():
            observer.note(note)
        observer = stack.enter_context(tracked(observer, config, run.path))
        buffer = stack.enter_context(closing(TaskBuffer(run.tasks, config.buffer.capacity)))
        limit = TimeLimit(config.run.time_limit_minutes, should_stop)
        silence = config.rollout.silence_minutes * 60
        decoder = Decoder(engine, runner, limit, partial(_show_play, observer), silence)
        episodes = Episodes(
            decoder, renderer, sampling(config.rollout), config.rollout.max_prompt_tokens
        )
        if scorer:
            scorer.listen(engine, renderer, limit, run.path / "evals")
        parts = Parts(game, buffer, policies, engine, episodes, client, scorer)
        limit.begin()
        yield Trainer(config, parts, run, observer, limit)


def scoring(config: Config, runner: asyncio.Runner) -> AbstractContextManager[Scorer | None]:
    """What scores the run now and then; its libraries are loaded where it does."""
    if not config.eval.every:
        return nullcontext()
    from azr_fast.evaluate.training import open_scorer

    return open_scorer(config, runner)


def shown(config: Config) -> Config:
    """The config with the steps that its schedule has, for people."""
    steps = open_schedule(config).steps
    return config.model_copy(update={"run": config.run.model_copy(update={"steps": steps})})


def sampling(config: RolloutConfig) -> Sampling:
    """How a turn is sampled unless a game says otherwise."""
    return Sampling(config.max_new_tokens, config.temperature, config.top_p)


def _show_play(observer: Observer, stats: RolloutStats) -> None:
    speed = stats.tokens / max(stats.elapsed(), 1e-9)
    observer.advance(stats.finished, stats.requested, f"{speed:.0f} tok/s")
