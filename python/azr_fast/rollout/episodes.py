"""Playing episodes: each gets a conversation, and whatever breaks it off becomes its verdict."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from azr_fast.errors import ContextFull, NotFinite, UserError
from azr_fast.rollout.chat import Chat
from azr_fast.rollout.decoder import Decoder
from azr_fast.rollout.engine import EngineDied
from azr_fast.rollout.renderer import Renderer
from azr_fast.sandbox.client import SandboxLost
from azr_fast.types import Episode, Role, Sampling, Status, Task, Verdict

log = logging.getLogger(__name__)

TOO_LONG = "prompt_too_long"
EXCEPTION = "exception"


@dataclass(frozen=True, slots=True)
class Episodes:
    """Opens and plays the episodes of a run."""

    decoder: Decoder
    renderer: Renderer
    sampling: Sampling
    max_prompt_tokens: int

    def open(self, *episodes: Episode) -> None:
        """Say that these episodes are about to be played (`Decoder.opened`)."""
        self.decoder.opened(len(episodes))

    async def play(
        self, episode: Episode, seed: str, speak: Callable[[Chat], Awaitable[Verdict]]
    ) -> None:
        """Let `speak` talk to the model and judge what it says.

        A conversation that grew too long or hangs and whatever the game raises end this episode
        alone. Raises what ends all of them: EngineDied, NotFinite, SandboxLost and UserError.
        """
        chat = Chat(
            self.decoder, self.renderer, episode, seed, self.sampling, self.max_prompt_tokens
        )
        try:
            async with self.decoder.conversation(episode.id):
                episode.verdict = checked(await speak(chat), episode)
        except ContextFull:
            episode.verdict = Verdict(Status.FAILED, TOO_LONG)
        except (EngineDied, NotFinite, SandboxLost, UserError):
            raise
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            log.warning("episode %s broke off", episode.id, exc_info=True)
            episode.verdict = Verdict(Status.FAILED, EXCEPTION, f"{type(error).__name__}: {error}")


def _is_cancelled() -> bool:
    """Whether this task is to end. A CancelledError says so of any task that was waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def checked(verdict: object, episode: Episode) -> Verdict:
    """A verdict as the core needs it: what it writes down later, when weights may have moved, is of
    a kind that can be written. Raises TypeError or ValueError for a game's mistake."""
    if not isinstance(verdict, Verdict) or not isinstance(verdict.status, Status):
        raise TypeError(f"the game gave {verdict!r} as its verdict")
    _require_texts(verdict.code, verdict.evidence)
    posed = verdict.task is not None
    if episode.role is Role.PROPOSER and posed != (verdict.status is Status.PASSED):
        raise ValueError(f"a proposal that {verdict.status} has {'a' if posed else 'no'} task")
    if verdict.task is not None:
        _check_task(verdict.task)
    return verdict


def _check_task(task: object) -> None:
    if not isinstance(task, Task) or not isinstance(task.payload, Mapping):
        raise TypeError(f"the game gave {task!r} as a task")
    _require_texts(task.kind, task.key, task.label, *task.parents, *task.checks)
    "".join((task.kind, task.key, task.label)).encode()  # SQLite stores no lone surrogates
    json.dumps(dict(task.payload), allow_nan=False)
    if not isinstance(task.order, int):
        raise TypeError(f"the game gave a task of the order {task.order!r}")


def _require_texts(*values: object) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"the game gave {value!r} where a verdict or a task has text")
