"""What was typed after `azr-fast eval`, checked."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from azr_fast.config.schema import ModelConfig, RolloutConfig
from azr_fast.errors import UserError
from azr_fast.evaluate.benchmark import Benchmark, Tools
from azr_fast.evaluate.data import data_files
from azr_fast.evaluate.opening import Speech, fitted
from azr_fast.evaluate.records import load_tasks
from azr_fast.evaluate.registry import find_benchmarks
from azr_fast.evaluate.run import Work
from azr_fast.policy.models import ModelFiles
from azr_fast.types import Sampling

SAMPLED = 0.8  # temperature of several samples


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of an evaluation. `data` has the file of each benchmark; "" is that of all."""

    benchmarks: list[type[Benchmark]]
    data: Mapping[str, Path]
    form: str
    limit: int
    samples: int
    temperature: float
    top_p: float
    ks: list[int]
    seed: int
    max_new_tokens: int | None
    store: Path
    inspect: Path | None
    json: Path | None
    model: Mapping[str, str]
    rollout: Mapping[str, str | int | float]

    def works(self, tools: Tools) -> list[Work]:
        """The work on every benchmark; all files are read first. Raises UserError."""
        return [self._work(kind(tools, self.form)) for kind in self.benchmarks]

    def speech(self, files: ModelFiles, works: Sequence[Work]) -> Speech:
        """How a subject speaks. Raises UserError where answers do not fit its context."""
        longest = max(work.sampling.max_tokens for work in works)
        rollout = _rollout(dict(self.rollout, max_new_tokens=longest))
        return Speech(ModelConfig.model_validate(self.model), fitted(rollout, files))

    def _work(self, benchmark: Benchmark) -> Work:
        file = self.data.get(benchmark.name, self.data.get(""))
        tasks = load_tasks(benchmark, file, self.limit)
        most = self.max_new_tokens or benchmark.forms[benchmark.form]
        sampling = Sampling(most, self.temperature, self.top_p)
        return Work(benchmark, tasks, sampling, self.samples, self.seed)


def _rollout(typed: Mapping[str, str | int | float]) -> RolloutConfig:
    try:
        return RolloutConfig.model_validate(typed)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        option = str(fault["loc"][0]).replace("_", "-")
        raise UserError(f"--{option} {fault['input']}: {fault['msg'].lower()}") from None


def read_asked(space: argparse.Namespace, names: Sequence[str] = ()) -> Asked:
    """Check what was typed; `names` in the place of --benchmarks. Raises UserError."""
    typed = [name.strip() for name in space.benchmarks.split(",") if name.strip()]
    benchmarks = find_benchmarks(names or typed, space.form)
    if not benchmarks:
        raise UserError("--benchmarks names none: azr-fast eval --list lists them")
    rollout = {
        "engine": space.engine,
        "concurrency": space.concurrency,
        "cache_gib": space.cache_gib,
    }
    _rollout(rollout)  # before anything is looked for
    return Asked(
        benchmarks=benchmarks,
        data=data_files(space.data, [one.name for one in benchmarks]),
        form=space.form,
        limit=space.limit,
        samples=space.samples,
        temperature=_temperature(space),
        top_p=space.top_p,
        ks=_ks(space.k, space.samples),
        seed=space.seed,
        max_new_tokens=space.max_new_tokens,
        store=space.store.expanduser(),
        inspect=_folder(space.inspect),
        json=_file(space.json),
        model={"device": space.device} | ({"dtype": space.dtype} if space.dtype else {}),
        rollout=rollout,
    )


def _file(typed: Path | None) -> Path | None:
    """A file that can be written, as far as can be known before an hour is spent on what is to
    stand in it. Raises UserError."""
    path = typed.expanduser() if typed else None
    if path and (path.is_dir() or not path.parent.is_dir()):
        raise UserError(f"--json {path}: give a file in a folder that is there")
    return path


def _folder(typed: Path | None) -> Path | None:
    path = typed.expanduser() if typed else None
    if path and path.exists() and not path.is_dir():
        raise UserError(f"--inspect {path} is a file: give a folder")
    return path


def _temperature(space: argparse.Namespace) -> float:
    temperature = space.temperature
    if temperature is None:
        temperature = SAMPLED if space.samples > 1 else 0.0
    if temperature == 0 and space.samples > 1:
        raise UserError(
            "greedy answers are all the same: give --temperature with --samples, or one sample"
        )
    try:
        Sampling(1, temperature, space.top_p)
    except ValueError as error:
        raise UserError(f"{error} (--temperature, --top-p)") from None
    return float(temperature)


def _ks(typed: str, samples: int) -> list[int]:
    words = typed.split(",")
    if not all(word.isascii() and word.isdigit() and int(word) for word in words):
        raise UserError(f"--k {typed!r}: give numbers from 1 with commas, such as 1,8")
    ks = sorted({int(word) for word in words})
    if ks[-1] > samples:
        raise UserError(f"pass@{ks[-1]} needs as many samples of an item: --samples {ks[-1]}")
    return ks
