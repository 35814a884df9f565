"""A few episodes of a step, kept so that people can read what was proposed and solved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from azr_fast.observe.files import json_line, write_whole
from azr_fast.types import Episode

PER_VERDICT = 2  # episodes kept per task-role group and status


def save_samples(path: Path, episodes: Iterable[Episode]) -> None:
    """Write the first episodes of every task-role group and status, in the order given."""
    kept: Counter[tuple[object, ...]] = Counter()
    lines = []
    for one in episodes:
        place = (*one.group, one.verdict.status)
        kept[place] += 1
        if kept[place] <= PER_VERDICT:
            lines.append(json_line(sample(one)))
    write_whole(path, "".join(lines))


def sample(one: Episode) -> dict[str, Any]:
    """An episode as a JSON object; `task` is what it posed, or what it was asked to solve,
    `text` what was said last."""
    task = one.verdict.task or one.task
    return {
        "id": list(one.id),
        "kind": one.kind,
        "role": str(one.role),
        "status": str(one.verdict.status),
        "code": one.verdict.code,
        "evidence": one.verdict.evidence,
        "reward": one.reward,
        "advantage": one.advantage,
        "accuracy": one.facts.get("accuracy"),
        "new": one.facts.get("new"),
        "tokens": one.length,
        "stops": [str(stop) for stop in one.stops],
        "messages": [{"role": m.role, "content": m.content} for m in one.messages],
        "text": one.messages[-1].content if one.messages else "",
        "task": dict(task.payload) if task else None,
    }
