"""An evaluation: what is known already is looked up, the rest is played and written down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

from azr_fast import __version__
from azr_fast.config.installed import installed
from azr_fast.evaluate.benchmark import Benchmark
from azr_fast.evaluate.recorded import Heard, first_question, replay
from azr_fast.evaluate.registry import GROUP
from azr_fast.evaluate.store import Row, Store, digest_of
from azr_fast.games.game import Chat
from azr_fast.rollout.decoder import Decoder
from azr_fast.rollout.episodes import EXCEPTION, Episodes
from azr_fast.rollout.renderer import Renderer
from azr_fast.types import Episode, Role, Sampling, Stop, Task, Verdict

_AT_ONCE = 64  # verdicts on saved answers


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is evaluated: the name that was typed, a digest of the weights, the engine's version."""

    name: str
    weights: str
    engine: str


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked of a subject: tasks of one benchmark, `samples` answers to each."""

    benchmark: Benchmark
    tasks: Sequence[Task]
    sampling: Sampling
    samples: int = 1
    seed: int = 0


@dataclass(slots=True)
class Voice:
    """A model that can be asked: prompts become ids, and `decoder` decodes answers.

    `decoder` is called when the first answer is to be sampled, and loads the engine then.
    """

    renderer: Renderer
    decoder: Callable[[], Decoder]
    max_prompt_tokens: int


@dataclass(slots=True)
class _Job:
    """One answer that is wanted."""

    task: Task
    sample: int
    key: str
    judged: str
    row: Row | None = None
    episode: Episode = field(init=False)

    def __post_init__(self) -> None:
        # The seed of a turn follows from the id, which does not depend on the item's place.
        number = int(digest_of(self.task.key)[:12], 16)
        self.episode = Episode((number, self.sample), Role.SOLVER, self.task.kind, task=self.task)


class Evaluation:
    """Evaluates one subject. `on_progress` hears how many answers of how many there are."""

    def __init__(
        self,
        subject: Subject,
        store: Store,
        voice: Voice,
        runner: asyncio.Runner,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._subject = subject
        self._store = store
        self._voice = voice
        self._runner = runner
        self._on_progress = on_progress

    def rows(self, work: Work) -> list[Row]:
        """Every answer of the work, in order: those of the store, and the others as they come.

        Raises Interrupted when asked to stop; what was answered by then is in the store.
        """
        jobs = self._runner.run(self._jobs(work))
        missing = [job for job in jobs if job.row is None]
        self._show(jobs)
        try:
            self._runner.run(self._judge_anew(work.benchmark, jobs))
            if missing:
                decoder = self._voice.decoder()
                decoder.run(self._play(work, missing, jobs, decoder))
        finally:
            self._store.flush()
        return [job.row for job in jobs if job.row is not None]

    async def _jobs(self, work: Work) -> list[_Job]:
        jobs = []
        for task in work.tasks:
            question = await first_question(work.benchmark, task)
            ids = self._voice.renderer.begin(question.messages, question.prefill).ids
            judged = judged_by(work.benchmark, task)
            for sample in range(work.samples):
                key = self._key(work, ids, sample)
                jobs.append(_Job(task, sample, key, judged, self._store.get(key)))
        return jobs

    def _key(self, work: Work, ids: Sequence[int], sample: int) -> str:
        """A greedy answer depends on no seed."""
        seed = work.seed if work.sampling.temperature else 0
        return digest_of(
            self._subject.weights, self._subject.engine, list(ids), self._sampling(work), seed,
            sample,
        )  # fmt: skip

    def _sampling(self, work: Work) -> str:
        most = {"max_prompt_tokens": self._voice.max_prompt_tokens}
        return json.dumps(asdict(work.sampling) | most, sort_keys=True)

    async def _judge_anew(self, benchmark: Benchmark, jobs: Sequence[_Job]) -> None:
        """Saved answers whose task, or whose judge, is another one by now."""
        old = [job for job in jobs if job.row and job.row.judged != job.judged]
        rows = await regraded(benchmark, [(job.task, job.row) for job in old if job.row])
        for job, row in zip(old, rows, strict=True):
            job.row = row
            self._store.add(row)

    async def _play(
        self, work: Work, jobs: Sequence[_Job], of: Sequence[_Job], decoder: Decoder
    ) -> None:
        voice = self._voice
        episodes = Episodes(decoder, voice.renderer, work.sampling, voice.max_prompt_tokens)
        episodes.open(*(job.episode for job in jobs))

        async def play(job: _Job) -> None:
            heard: list[Heard] = []

            async def speak(chat: Chat) -> Verdict:
                heard.append(Heard(chat))
                return await work.benchmark.solve(job.task, heard[0])

            await episodes.play(job.episode, f"{work.seed}/{work.benchmark.name}", speak)
            job.row = self._row(work, job, heard[0].turns)
            if job.row.code != EXCEPTION:  # which may be another one next time
                self._store.add(job.row)
            self._show(of)

        await asyncio.gather(*map(play, jobs))

    def _row(self, work: Work, job: _Job, turns: list[str]) -> Row:
        verdict = job.episode.verdict
        return Row(
            key=job.key,
            benchmark=work.benchmark.name,
            form=work.benchmark.form,
            item=job.task.key,
            cluster=work.benchmark.cluster(job.task),
            sample=job.sample,
            model=self._subject.name,
            weights=self._subject.weights,
            engine=self._subject.engine,
            sampling=self._sampling(work),
            seed=work.seed,
            turns=turns,
            truncated=Stop.LENGTH in job.episode.stops[-1:],
            tokens=job.episode.length,
            judged=job.judged,
            status=str(verdict.status),
            code=verdict.code,
            evidence=_writable(verdict.evidence),
        )

    def _show(self, jobs: Sequence[_Job]) -> None:
        self._on_progress(sum(job.row is not None for job in jobs), len(jobs))


async def regraded(benchmark: Benchmark, saved: Sequence[tuple[Task, Row]]) -> list[Row]:
    """The rows with the verdicts that their answers get today; no model is asked."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def grade(task: Task, row: Row) -> Row:
        if not row.turns:  # the prompt was too long
            return row
        async with turns:
            verdict = await replay(benchmark, task, row.turns, row.truncated)
        evidence, status = _writable(verdict.evidence), str(verdict.status)
        judged = judged_by(benchmark, task)
        return replace(row, judged=judged, status=status, code=verdict.code, evidence=evidence)

    return list(await asyncio.gather(*(grade(*pair) for pair in saved)))


def judged_by(benchmark: Benchmark, task: Task) -> str:
    """A digest of what a verdict on an answer to this task is given by: the benchmark and its
    package, ours, and what is asked."""
    point = installed(GROUP).get(benchmark.name)
    package = [point.dist.name, point.dist.version] if point and point.dist else []
    return digest_of(__version__, package, benchmark.form, task.kind, dict(task.payload))


def _writable(text: str) -> str:
    """Parquet takes no lone surrogates, which a program may print."""
    return text.encode("utf-8", "replace").decode()
