"""The numbers of a run: one JSON line per step, and how they come from judged answers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from azr_fast.observe.files import json_line
from azr_fast.selfplay.types import Judged, Role, Status

Metrics = Mapping[str, Any]


class MetricsLog:
    """Appends lines that survive a kill of the process, and of the machine from the next on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def append(self, record: Metrics) -> None:
        """Write one line and push it to the disk."""
        self._file.write(json_line(record))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


def group_metrics(judged: Iterable[Judged]) -> dict[str, dict[str, Any]]:
    """Aggregates per task-role group, keyed "kind/role", in order of first appearance."""
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        kind, role = one.group
        groups.setdefault(f"{kind}/{role}", []).append(one)
    return {name: aggregate(members) for name, members in groups.items()}


def aggregate(judged: Sequence[Judged]) -> dict[str, Any]:
    """Counts, shares and means over answers of one group (not empty).

    answers: count · reward, tokens: means · malformed, rejected, wrong, passed, truncated: shares ·
    codes: answers per judgement code · and for proposers new: share of answers that posed a valid
    task not seen before; accuracy: mean solve rate of the tasks that were priced, null if none.
    """
    assert judged
    return {
        "answers": len(judged),
        "reward": fmean(one.reward for one in judged),
        **{
            str(status): _share(one.judgement.status is status for one in judged)
            for status in Status
        },
        "truncated": _share(one.answer.truncated for one in judged),
        "tokens": fmean(len(one.answer.token_ids) for one in judged),
        "codes": dict(sorted(Counter(one.judgement.code for one in judged).items())),
        **(_proposer_part(judged) if judged[0].group[1] is Role.PROPOSER else {}),
    }


def proposal_rates(judged: Iterable[Judged]) -> dict[str, float | None]:
    """Shares of all proposals: well formed, valid, valid and new. Null without proposals."""
    proposals = [one for one in judged if one.group[1] is Role.PROPOSER]
    return {
        "well_formed": _share(one.judgement.status is not Status.MALFORMED for one in proposals),
        "valid": _share(one.judgement.status is Status.PASSED for one in proposals),
        "new": _share(_is_new(one) for one in proposals),
    }


def solver_rates(judged: Iterable[Judged]) -> dict[str, float | None]:
    """Mean reward and share of correct answers of all solvers. Null without solutions."""
    solutions = [one for one in judged if one.group[1] is Role.SOLVER]
    return {
        "reward": _mean([one.reward for one in solutions]),
        "solve_rate": _share(one.judgement.status is Status.PASSED for one in solutions),
    }


def _proposer_part(judged: Sequence[Judged]) -> dict[str, float | None]:
    priced = [one.stats["accuracy"] for one in judged if one.stats.get("accuracy") is not None]
    return {"new": _share(_is_new(one) for one in judged), "accuracy": _mean(priced)}


def _is_new(one: Judged) -> bool:
    return one.judgement.status is Status.PASSED and bool(one.stats["new"])


def _share(truths: Iterable[bool]) -> float | None:
    return _mean([float(truth) for truth in truths])


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
