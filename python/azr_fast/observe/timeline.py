"""Where the time of a step goes: the phases one after the other, and what of it is idle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azr_fast.observe.rates import mean_known
from azr_fast.observe.run import at

Metrics = Mapping[str, Any]

STEPS = 40  # the newest, a row each
WAIT = "waiting for verdicts"
BETWEEN = "between steps"  # checkpoints, evaluations, the writing of metrics
IDLE = (WAIT,)  # phases in which neither the engine nor the trainer computes


def timeline(lines: Sequence[Metrics]) -> dict[str, Any] | None:
    """The newest steps as rows of phases in the order they ran, in seconds; None without a step.

    phases: names · steps · seconds: phase to a value per step · means: phase to its mean over all
    steps · idle: the phases in which nothing is computed.
    """
    if not lines:
        return None
    rows = [_phases(line, before) for line, before in zip(lines, (None, *lines), strict=False)]
    names = _in_order(rows)
    shown = rows[-STEPS:]
    return {
        "steps": [line["step"] for line in lines[-STEPS:]],
        "phases": names,
        "seconds": {name: [row.get(name, 0.0) for row in shown] for name in names},
        "means": {name: mean_known([row.get(name, 0.0) for row in rows]) for name in names},
        "idle": [name for name in IDLE if name in names],
    }


def _phases(line: Metrics, before: Metrics | None) -> dict[str, float]:
    """Seconds by phase, in order: the laps of the step, of which the play ends with waiting and the
    update has phases of its own, and what is left until the time that the next step began."""
    row: dict[str, float] = {}
    for lap in ("sync", "play", "update"):
        seconds = at(line, "seconds", lap) or 0.0
        if lap == "play":
            wait = min(seconds, at(line, "seconds", "verify_blocked") or 0.0)
            row |= {"play": seconds - wait, WAIT: wait}
        elif lap == "update":
            row |= _update(line, seconds)
        else:
            row[lap] = seconds
    if before is not None:
        row[BETWEEN] = max(0.0, line["time"] - before["time"] - sum(row.values()))
    return row


def _update(line: Metrics, seconds: float) -> dict[str, float]:
    """The parts of an update, and the rest of it."""
    update = line.get("update")
    parts = update.get("seconds", {}) if isinstance(update, Mapping) else {}
    named = {f"update: {name}": float(value) for name, value in parts.items()}
    rest = "update: rest" if named else "update"
    return named | {rest: max(0.0, seconds - sum(named.values()))}


def _in_order(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """All names, as a step has them; what lies between steps is last."""
    names = list(dict.fromkeys(name for row in rows for name in row if name != BETWEEN))
    return [*names, BETWEEN] if any(BETWEEN in row for row in rows) else names
