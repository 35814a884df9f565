"""Evaluations as logs that `inspect view` opens (inspect.aisi.org.uk): a file a benchmark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azr_fast.evaluate.store import Row, digest_of
from azr_fast.evaluate.summary import score_of
from azr_fast.observe.files import write_whole


def write_inspect_log(folder: Path, rows: Sequence[Row], prompts: dict[str, str]) -> Path:
    """Write the rows of one benchmark; `prompts` has what was asked, by item. Returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    created = datetime.fromtimestamp(max(row.created for row in rows), UTC)
    stamp = created.strftime("%Y-%m-%dT%H-%M-%S")
    name = f"{stamp}+00-00_{rows[0].benchmark}_{digest_of(rows[0].key)[:12]}.json"
    write_whole(folder / name, json.dumps(_log(rows, prompts, created), indent=1))
    return folder / name


def _log(rows: Sequence[Row], prompts: dict[str, str], created: datetime) -> dict[str, Any]:
    first, score, when = rows[0], score_of(rows), created.isoformat()
    items = list(dict.fromkeys(row.item for row in rows))
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": digest_of(first.key)[:22],
            "run_id": digest_of(first.weights, when)[:22],
            "task_id": digest_of(first.benchmark)[:22],
            "created": when,
            "task": f"{first.benchmark} ({first.form})",
            "task_version": 0,
            "dataset": {"name": first.benchmark, "samples": len(items), "sample_ids": items},
            "model": f"azr-fast/{Path(first.model).name}",
            "model_generate_config": {},
            "config": {"epochs": score.samples},
            "metadata": {"weights": first.weights, "engine": first.engine},
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": len(rows),
            "completed_samples": len(rows),
            "scores": [
                {
                    "name": first.benchmark,
                    "scorer": first.benchmark,
                    "params": {},
                    "metrics": {"accuracy": _metric("accuracy", score.score)},
                }
            ],
        },
        "stats": {"started_at": when, "completed_at": when, "model_usage": {}},
        "samples": [_sample(row, prompts[row.item], first.model) for row in rows],
    }


def _metric(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "value": value, "params": {}}


def _sample(row: Row, prompt: str, model: str) -> dict[str, Any]:
    said = "\n".join(row.turns)
    message = {"role": "assistant", "content": said, "source": "generate"}
    stop = "max_tokens" if row.truncated else "stop"
    return {
        "id": row.item,
        "epoch": row.sample + 1,
        "input": prompt,
        "target": "",
        "messages": [{"role": "user", "content": prompt, "source": "input"}, message],
        "output": {"model": model, "choices": [{"message": message, "stop_reason": stop}]},
        "scores": {
            row.benchmark: {
                "value": "C" if row.passed else "I",
                "answer": said,
                "explanation": f"{row.code}: {row.evidence}" if row.evidence else row.code,
            }
        },
        "metadata": {},
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    }
