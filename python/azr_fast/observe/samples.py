"""A few answers of a step, kept so that people can read what was proposed and solved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from azr_fast.observe.files import json_line, write_whole
from azr_fast.selfplay.types import Judged

PER_VERDICT = 2  # answers kept per task-role group and status


def save_samples(path: Path, judged: Iterable[Judged]) -> None:
    """Write the first answers of every task-role group and status, in the order given."""
    kept: Counter[tuple[object, ...]] = Counter()
    lines = []
    for one in judged:
        place = (*one.group, one.judgement.status)
        kept[place] += 1
        if kept[place] <= PER_VERDICT:
            lines.append(json_line(sample(one)))
    write_whole(path, "".join(lines))


def sample(one: Judged) -> dict[str, Any]:
    """An answer as a JSON object; `task` is what it posed, or what it was asked to solve."""
    kind, role = one.group
    task = one.judgement.task or one.answer.prompt.task
    return {
        "request": list(one.answer.request),
        "kind": kind,
        "role": str(role),
        "status": str(one.judgement.status),
        "code": one.judgement.code,
        "evidence": one.judgement.evidence,
        "reward": one.reward,
        "advantage": one.advantage,
        "accuracy": one.stats.get("accuracy"),
        "new": one.stats.get("new"),
        "prompt": one.answer.prompt.messages[-1].content,
        "text": one.answer.text,
        "task": dict(task.payload) if task else None,
    }
