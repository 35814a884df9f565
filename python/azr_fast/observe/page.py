"""A run as one HTML file: charts and episodes, readable offline, with nothing fetched.

What models wrote is hostile. It travels as JSON in which no character can end the element around
it, the scripts put it into the page as text and never as markup, and the page's policy
(https://www.w3.org/TR/CSP3/) runs no script but those of this file and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from azr_fast.errors import UserError
from azr_fast.observe.charts import step_charts
from azr_fast.observe.episodes import EPISODES, shown_episodes
from azr_fast.observe.files import finite, write_whole
from azr_fast.observe.rates import OTHERS, RATES, ends
from azr_fast.observe.run import Run, read_run
from azr_fast.observe.task_charts import task_charts
from azr_fast.observe.tasks import read_tasks
from azr_fast.observe.text import duration
from azr_fast.observe.timeline import timeline
from azr_fast.observe.vote_charts import vote_charts

WEB = Path(__file__).with_name("web")
SCRIPTS = ("text.js", "charts.js", "timeline.js", "episodes.js", "main.js")
HEADLINES = ("valid and new proposals", "learnable proposals")  # drawn larger


def write_page(folder: Path, target: Path, most: int = EPISODES) -> Path:
    """Write the page of the run in `folder`, with about `most` episodes. Returns the path.

    UserError when `folder` is no run folder, or the file cannot be written.
    """
    text = render(page_data(read_run(folder), most))
    try:
        write_whole(target, text)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror}; give a place for the page by --output FILE"
        ) from None
    return target


def page_data(run: Run, most: int = EPISODES) -> dict[str, Any]:
    """Everything that the page shows."""
    charts = [
        *step_charts(run.lines, run.first_scores()),
        *vote_charts(run.lines),
        *task_charts(read_tasks(run.tasks)),
    ]
    return {
        "title": run.folder.resolve().name,
        "about": _about(run),
        "footer": f"azr-fast report, {time.strftime('%Y-%m-%d %H:%M')}. Charts: Chart.js (MIT).",
        "figures": _figures(run.lines),
        "charts": [chart.data() for chart in charts],
        "timeline": timeline(run.lines),
        "episodes": shown_episodes(run, most),
    }


def render(data: Mapping[str, Any]) -> str:
    """The HTML text of a page."""
    style = (WEB / "page.css").read_text(encoding="utf-8")
    library = _library()
    script = "\n".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS)
    parts = {
        "policy": _policy([library, script], style, follows="follow" in data),
        "title": html.escape(str(data["title"])),
        "style": style,
        "library": library,
        "script": script,
        "data": inert_json(data),
    }
    # One pass over the page: what is put in is not searched again.
    page = (WEB / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)


def inert_json(data: object) -> str:
    """JSON in ASCII without <, > and &: inside a script element nothing in it is markup
    (https://html.spec.whatwg.org/#restrictions-for-contents-of-script-elements)."""
    text = json.dumps(finite(data), allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _library() -> str:
    """Chart.js, its licence above it."""
    licence = (WEB / "LICENSE.chart.js.txt").read_text(encoding="utf-8")
    return f"/*\n{licence}*/\n{(WEB / 'chart.umd.min.js').read_text(encoding='utf-8')}"


def _policy(scripts: Sequence[str], style: str, follows: bool) -> str:
    connect = "'self'" if follows else "'none'"
    return (
        f"default-src 'none'; script-src {' '.join(map(_digest, scripts))}; "
        f"style-src {_digest(style)}; connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _about(run: Run) -> str:
    if not run.lines:
        return f"{run.model}: no step is finished yet"
    made = f"{len(run.lines)} of {run.steps} steps"
    took = duration(run.lines[-1]["time"])
    return f"{run.model}, {made}, {took}{', going on now' if run.living else ''}"


def _figures(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The figures of the first and the last steps; those that the run lacks are left out."""
    figures = []
    for figure in (*RATES, *OTHERS):
        first, last = ends([figure.of(line) for line in lines]) if lines else (None, None)
        if last is not None:
            written = {"first": figure.write(first), "last": figure.write(last)}
            figures.append({"name": figure.name, "main": figure.name in HEADLINES, **written})
    return figures
