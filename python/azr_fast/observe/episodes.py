"""The sampled episodes of a run, as the page shows them turn by turn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azr_fast.observe.files import read_lines
from azr_fast.observe.run import Run

Sample = Mapping[str, Any]

EPISODES = 2000  # shown at most unless somebody asks for more: about 4 MB of a page


def shown_episodes(run: Run, most: int = EPISODES) -> dict[str, Any]:
    """Episodes of evenly spread steps, the newest included, at most about `most`.

    episodes: a list · steps: how many steps they are of · of_steps: how many have samples.
    """
    files = run.sample_files()
    counts = {path: _count(path) for path in files}
    kept = _spread(files, counts, most)
    episodes = [episode(line, path) for path in kept for line in read_lines(path)]
    return {"episodes": episodes, "steps": len(kept), "of_steps": len(files)}


def _count(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _spread(files: list[Path], counts: Mapping[Path, int], most: int) -> list[Path]:
    """Every k-th file from the newest back, with the smallest k under which they fit."""
    for stride in range(1, len(files) + 1):
        kept = files[::-1][::stride][::-1]
        if sum(counts[path] for path in kept) <= most:
            return kept
    return files[-1:]


def episode(sample: Sample, path: Path) -> dict[str, Any]:
    """A sampled episode, in one form whichever version wrote it."""
    return {
        "step": int(path.stem.removeprefix("step-")),
        "id": list(sample.get("id", sample.get("request", []))),
        "kind": sample["kind"],
        "role": sample["role"],
        "status": sample["status"],
        "code": sample["code"],
        "why": sample.get("evidence", ""),
        "reward": sample["reward"],
        "advantage": sample.get("advantage"),
        "accuracy": sample.get("accuracy"),
        "new": sample.get("new"),
        "tokens": sample.get("tokens"),
        "stops": sample.get("stops"),
        "messages": _messages(sample),
        "task": sample.get("task"),
    }


def _messages(sample: Sample) -> list[dict[str, str]]:
    """The turns; versions before conversations kept one prompt and one answer."""
    if "messages" in sample:
        return [{"role": m["role"], "content": m["content"]} for m in sample["messages"]]
    return [
        {"role": "user", "content": sample.get("prompt", "")},
        {"role": "assistant", "content": sample.get("text", "")},
    ]
