"""Playing episodes: each gets a conversation, and whatever breaks it off becomes its verdict."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from azr_fast.errors import ContextFull, NotFinite, UserError
from azr_fast.rollout.chat import Chat
from azr_fast.rollout.decoder import Decoder
from azr_fast.rollout.engine import EngineDied
from azr_fast.rollout.renderer import Renderer
from azr_fast.sandbox.client import SandboxLost
from azr_fast.types import Episode, Role, Sampling, Status, Verdict

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

        A conversation that grew too long and an exception of the game end this episode alone.
        Raises what ends all of them: EngineDied, NotFinite, SandboxLost and UserError.
        """
        chat = Chat(
            self.decoder, self.renderer, episode, seed, self.sampling, self.max_prompt_tokens
        )
        try:
            episode.verdict = checked(await speak(chat), episode)
        except ContextFull:
            episode.verdict = Verdict(Status.FAILED, TOO_LONG)
        except (EngineDied, NotFinite, SandboxLost, UserError):
            raise
        except Exception as error:
            log.warning("episode %s broke off", episode.id, exc_info=True)
            episode.verdict = Verdict(Status.FAILED, EXCEPTION, f"{type(error).__name__}: {error}")
        finally:
            self.decoder.closed()


def checked(verdict: object, episode: Episode) -> Verdict:
    """A verdict as the core needs it. Raises TypeError or ValueError for a game's mistake."""
    if not isinstance(verdict, Verdict) or not isinstance(verdict.code, str):
        raise TypeError(f"the game gave {verdict!r} as its verdict")
    posed = verdict.task is not None
    if episode.role is Role.PROPOSER and posed != (verdict.status is Status.PASSED):
        raise ValueError(f"a proposal that {verdict.status} has {'a' if posed else 'no'} task")
    if verdict.task is not None:
        json.dumps(dict(verdict.task.payload), allow_nan=False)
    return verdict
