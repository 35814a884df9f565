"""Conversations: what a game says is rendered, what the model says is sampled, all is recorded."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from azr_fast.errors import ContextFull
from azr_fast.rollout.decoder import Decoder
from azr_fast.rollout.engine import Request
from azr_fast.rollout.ledger import Ledger
from azr_fast.rollout.renderer import Renderer
from azr_fast.types import Episode, Message, Sampling, Stop


class Chat:
    """The conversation of one episode; `games.game.Chat` says what it promises.

    `seed` names the run and the step: the seed of a turn follows from it, the episode's id and the
    number of the turn alone. `most` is how many tokens may come before an answer. Turns that are
    sampled at another temperature or nucleus than `sampling` has are not trained on: the trainer's
    log-probs are of that distribution.
    """

    def __init__(
        self,
        decoder: Decoder,
        renderer: Renderer,
        episode: Episode,
        seed: str,
        sampling: Sampling,
        most: int,
    ) -> None:
        self.sampling = sampling
        self._decoder = decoder
        self._stop_strings = renderer.template.stop_strings
        self._takes_messages = "user" not in renderer.template.refusals
        self._episode = episode
        self._seed = seed
        self._most = most
        self._ledger = ledger = Ledger(renderer)
        # The episode grows with the ledger.
        episode.token_ids, episode.sampled = ledger.ids, ledger.sampled
        episode.logprobs = ledger.logprobs

    @property
    def truncated(self) -> bool:
        """Whether the model's last turn was cut off at the token limit."""
        return self._episode.truncated

    @property
    def stop(self) -> Stop:
        """Why the model stopped speaking."""
        return self._episode.stops[-1]

    @property
    def takes_messages(self) -> bool:
        """Whether messages can follow what the model said."""
        return self._takes_messages

    async def say(
        self, *messages: Message, prefill: str = "", sampling: Sampling | None = None
    ) -> str:
        """Add messages, let the model answer, return its turn."""
        self._ledger.ask(*messages, prefill=prefill)
        self._episode.messages.extend(messages)
        return await self._sample(sampling or self.sampling)

    async def resume(self, text: str, *, sampling: Sampling | None = None) -> str:
        """Put text into the model's turn, let it go on, return its turn."""
        self._ledger.insert(text)
        answer = await self._sample(sampling or self.sampling)
        del self._episode.messages[-2]  # the same turn, as far as it had come
        return answer

    async def _sample(self, sampling: Sampling) -> str:
        if len(self._ledger.ids) > self._most:
            raise ContextFull
        if sampling.max_tokens > self.sampling.max_tokens:
            raise ValueError(
                f"a turn of {sampling.max_tokens} tokens was asked for, and rollout.max_new_tokens "
                f"is {self.sampling.max_tokens}"
            )
        turn = len(self._episode.stops)
        completion = await self._decoder.generate(
            Request(
                (*self._episode.id, -1 - turn),
                tuple(self._ledger.ids),
                turn_seed(self._seed, self._episode.id, turn),
                replace(sampling, stop=sampling.stop + self._stop_strings),
            )
        )
        self._ledger.record(completion.token_ids, completion.logprobs, completion.stop)
        if not self._is_trained(sampling):
            self._ledger.forget_last()
        self._episode.stops.append(completion.stop)
        self._episode.messages.append(Message("assistant", self._ledger.answer))
        return self._ledger.answer

    def _is_trained(self, sampling: Sampling) -> bool:
        ours = self.sampling
        return (sampling.temperature, sampling.top_p) == (ours.temperature, ours.top_p)


def turn_seed(seed: str, episode: tuple[int, ...], turn: int) -> int:
    """A 63-bit seed that depends on the run, the step, the episode and the turn alone."""
    name = f"{seed}/{'.'.join(map(str, episode))}/{turn}"
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 1
