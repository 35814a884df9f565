"""Draw the live view of a run as a terminal shows it, 80 and 40 columns wide, from a committed run.

python docs/draw_live_view.py        # writes docs/results/live-80.svg and live-40.svg
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from azr_fast.config.load import load_config
from azr_fast.config.schema import Config
from azr_fast.observe.clock import Clock
from azr_fast.observe.progress import LiveObserver

RESULTS = Path(__file__).with_name("results")


def clock_after(lines: list[dict[str, Any]], config: Config) -> Clock:
    """The clock of a run whose steps were these."""
    clock = Clock(config)
    for line in lines:
        clock.tick(line["step"])
    clock._started -= lines[-1]["time"]
    clock._seconds = lines[-1]["time"]
    return clock


def draw(width: int) -> None:
    """Steps 18 to 20 of the run, and the play of step 21."""
    lines = [json.loads(line) for line in (RESULTS / "smollm2-135m.jsonl").read_text().splitlines()]
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    observer = LiveObserver(console)
    config = load_config("cpu", {"run.steps": 61, "run.time_limit_minutes": 0})
    observer._clock = Clock(config)
    for line in lines[17:20]:
        observer.step(line)
    observer.phase("play")
    observer.advance(96, 144, f"{lines[20]['tokens_per_s']:.0f} tok/s")
    observer._clock = clock_after(lines[:20], config)
    console.print(observer._render())
    (RESULTS / f"live-{width}.svg").write_text(
        console.export_svg(title="azr-fast train --preset cpu", font_aspect_ratio=0.61),
        encoding="utf-8",
    )


if __name__ == "__main__":
    for columns in (80, 40):
        draw(columns)
