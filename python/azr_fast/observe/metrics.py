"""The numbers of a run: one JSON line per step, and how they come from episodes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from azr_fast.observe.files import json_line
from azr_fast.types import Episode, Role, Status

Metrics = Mapping[str, Any]


class MetricsLog:
    """Appends lines that survive a kill of the process, and of the machine from the next on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def append(self, record: Metrics) -> None:
        """Write one line and push it to the disk. A line that the disk does not take leaves
        nothing."""
        rest, before = json_line(record).encode(), os.fstat(self._file.fileno()).st_size
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(before)
            raise

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


def group_metrics(episodes: Iterable[Episode]) -> dict[str, dict[str, Any]]:
    """Aggregates per task-role group, keyed "kind/role", in order of first appearance."""
    groups: dict[str, list[Episode]] = {}
    for episode in episodes:
        groups.setdefault(f"{episode.kind}/{episode.role}", []).append(episode)
    return {name: aggregate(members) for name, members in groups.items()}


def aggregate(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Counts, shares and means over the episodes of one group (not empty).

    answers: count · reward, tokens: means · failed, malformed, rejected, wrong, passed, truncated:
    shares · codes: episodes per verdict's code · and for proposers new: share that posed a valid
    task not seen before; accuracy: mean solve rate of the tasks that were priced, null if none.
    """
    assert episodes
    return {
        "answers": len(episodes),
        "reward": fmean(one.reward for one in episodes),
        **{
            str(status): _share(one.verdict.status is status for one in episodes)
            for status in Status
        },
        "truncated": _share(one.truncated for one in episodes),
        "tokens": fmean(one.length for one in episodes),
        "codes": dict(sorted(Counter(one.verdict.code for one in episodes).items())),
        **(_proposer_part(episodes) if episodes[0].role is Role.PROPOSER else {}),
    }


def proposal_rates(episodes: Iterable[Episode]) -> dict[str, float | None]:
    """Shares of all proposals: well formed, valid, valid and new. Null without proposals."""
    proposals = [one for one in episodes if one.role is Role.PROPOSER and not one.failed]
    return {
        "well_formed": _share(one.verdict.status is not Status.MALFORMED for one in proposals),
        "valid": _share(one.passed for one in proposals),
        "new": _share(_is_new(one) for one in proposals),
    }


def solver_rates(episodes: Iterable[Episode]) -> dict[str, float | None]:
    """Mean reward and share of correct answers of all solvers. Null without solutions."""
    solutions = [one for one in episodes if one.role is Role.SOLVER and not one.failed]
    return {
        "reward": _mean([one.reward for one in solutions]),
        "solve_rate": _share(one.passed for one in solutions),
    }


def _proposer_part(episodes: Sequence[Episode]) -> dict[str, float | None]:
    priced = [one.facts["accuracy"] for one in episodes if one.facts.get("accuracy") is not None]
    return {"new": _share(_is_new(one) for one in episodes), "accuracy": _mean(priced)}


def _is_new(one: Episode) -> bool:
    return one.passed and bool(one.facts["new"])


def _share(truths: Iterable[bool]) -> float | None:
    return _mean([float(truth) for truth in truths])


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
