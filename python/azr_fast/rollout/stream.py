"""One queue for every request of a step: answers are judged as they finish, while the rest decode.

A judged answer may ask for more answers (a valid proposal asks for the solutions that price it),
and once the first generation is judged the caller may add requests that depend on all of it.
Everything that must not depend on timing is ordered by request, and each request has a seed of
its own, so that a step is the same whichever answer finishes first.
"""

from __future__ import annotations

import hashlib
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from azr_fast.policy.chat import Renderer
from azr_fast.rollout.engine import Completion, Engine, EngineDied, Request
from azr_fast.selfplay.types import Answer, Judged, Judgement, Prompt

RequestId = tuple[int, ...]
Judge = Callable[[Answer], tuple[Judgement, Sequence[Prompt]]]
Settle = Callable[[list[Judged]], Sequence[Prompt]]


class Interrupted(Exception):  # noqa: N818 - an order, not an error
    """The caller asked to stop before the stream had run dry."""


@dataclass(slots=True)
class StreamStats:
    """What one run of the stream cost. Seconds are wall-clock."""

    requested: int = 0
    finished: int = 0
    skipped: int = 0  # prompts over the limit
    tokens: int = 0  # sampled
    started: float = field(default_factory=time.monotonic)
    blocked: float = 0.0  # waiting for verdicts while no answer was left to decode
    judging: float = 0.0  # summed over the threads that judge

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started


class Stream:
    """Runs prompts through an engine and their answers through a judge."""

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        *,
        max_prompt_tokens: int,
        max_new_tokens: int,
        threads: int,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[StreamStats], None] = lambda stats: None,
    ) -> None:
        self._engine = engine
        self._renderer = renderer
        self._max_prompt_tokens = max_prompt_tokens
        self._max_new_tokens = max_new_tokens
        self._threads = threads
        self._should_stop = should_stop
        self._on_progress = on_progress
        self.stats = StreamStats()

    def run(
        self,
        prompts: Sequence[Prompt],
        judge: Judge,
        seed: str,
        settle: Settle = lambda first: (),
    ) -> list[Judged]:
        """All judged answers, in request order.

        `settle` gets the judged answers to `prompts` once all of them are judged, and returns
        prompts to add. Raises `Interrupted` when asked to stop, and whatever `judge` raised.
        """
        self.stats = StreamStats()
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="judge")
        try:
            return _Run(self, pool, judge, seed).play(prompts, settle)
        except EngineDied:
            raise
        except BaseException:
            self._engine.cancel()
            raise
        finally:
            pool.shutdown(cancel_futures=True)  # after an error nobody waits for queued verdicts


class _Run:
    """The state of one `Stream.run`."""

    def __init__(self, stream: Stream, pool: ThreadPoolExecutor, judge: Judge, seed: str) -> None:
        self.stream = stream
        self.pool = pool
        self.judge = judge
        self.seed = seed
        self.prompts: dict[RequestId, tuple[Prompt, tuple[int, ...]]] = {}  # being decoded
        self.judging = 0
        self.verdicts: queue.SimpleQueue[Future[tuple[Judged, Sequence[Prompt]]]] = (
            queue.SimpleQueue()
        )
        self.judged: dict[RequestId, Judged] = {}
        self.roots = 0  # requests so far that no answer asked for

    def play(self, prompts: Sequence[Prompt], settle: Settle) -> list[Judged]:
        first = self.submit_roots(prompts)
        settled = False
        while True:
            if not settled and first <= self.judged.keys():
                self.submit_roots(settle([self.judged[request] for request in sorted(first)]))
                settled = True
            if not self.prompts and not self.judging:
                return [self.judged[request] for request in sorted(self.judged)]
            self.advance()

    def advance(self) -> None:
        """Decode a little; take in the verdicts that are ready."""
        stats, engine = self.stream.stats, self.stream._engine
        if self.stream._should_stop():
            raise Interrupted
        before = engine.generated_tokens()
        for completion in engine.poll():
            self.finish(completion)
        stats.tokens += engine.generated_tokens() - before
        if not self.prompts and self.verdicts.empty() and self.judging:
            waited = time.monotonic()
            self.take(self.verdicts.get())
            stats.blocked += time.monotonic() - waited
        while not self.verdicts.empty():
            self.take(self.verdicts.get())
        self.stream._on_progress(stats)

    def submit_roots(self, prompts: Sequence[Prompt]) -> set[RequestId]:
        ids = [(self.roots + offset,) for offset in range(len(prompts))]
        self.roots += len(prompts)
        return {one for one, prompt in zip(ids, prompts, strict=True) if self.submit(one, prompt)}

    def submit(self, id: RequestId, prompt: Prompt) -> bool:  # noqa: A002 - the field's name
        """Queue a request; a prompt over the limit is counted and left out."""
        prompt_ids = self.stream._renderer.encode(prompt)
        if len(prompt_ids) > self.stream._max_prompt_tokens:
            self.stream.stats.skipped += 1
            return False
        self.prompts[id] = prompt, prompt_ids
        self.stream.stats.requested += 1
        self.stream._engine.submit(
            Request(id, prompt_ids, request_seed(self.seed, id), self.stream._max_new_tokens)
        )
        return True

    def finish(self, completion: Completion) -> None:
        prompt, prompt_ids = self.prompts.pop(completion.id)
        answer = Answer(
            request=completion.id,
            prompt=prompt,
            prompt_ids=prompt_ids,
            token_ids=completion.token_ids,
            logprobs=completion.logprobs,
            text=prompt.prefill + self.stream._renderer.decode(completion.token_ids),
            truncated=completion.truncated,
        )
        self.stream.stats.finished += 1
        self.judging += 1
        self.pool.submit(self.verdict, answer).add_done_callback(self.verdicts.put)

    def verdict(self, answer: Answer) -> tuple[Judged, Sequence[Prompt]]:
        """Runs in a thread of the pool."""
        started = time.monotonic()
        judgement, more = self.judge(answer)
        return Judged(answer, judgement, {"judge_seconds": time.monotonic() - started}), more

    def take(self, future: Future[tuple[Judged, Sequence[Prompt]]]) -> None:
        judged, more = future.result()
        self.judging -= 1
        self.stream.stats.judging += judged.stats.pop("judge_seconds")
        self.judged[judged.answer.request] = judged
        for child, prompt in enumerate(more):
            self.submit((*judged.answer.request, child), prompt)


def request_seed(seed: str, id: RequestId) -> int:  # noqa: A002
    """A 63-bit seed that depends on the run, the step and the request alone."""
    name = f"{seed}/{'.'.join(map(str, id))}"
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 1
