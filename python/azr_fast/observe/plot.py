"""The curves of a run as a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from azr_fast.errors import UserError
from azr_fast.observe.run import at, read_run
from azr_fast.observe.typed import how_to_install

Metrics = Mapping[str, Any]
Curve = tuple[str, Callable[[Metrics], float | None]]

PANELS: Sequence[tuple[str, Sequence[Curve]]] = (
    (
        "share of proposals",
        (
            ("well formed", lambda line: line["proposals"]["well_formed"]),
            ("valid", lambda line: line["proposals"]["valid"]),
            ("valid and new", lambda line: line["proposals"]["new"]),
            ("learnable", lambda line: at(line, "proposals", "learnable")),
        ),
    ),
    ("share of solutions", (("correct", lambda line: line["solver"]["solve_rate"]),)),
    ("mean reward", (("solver", lambda line: line["solver"]["reward"]),)),
    ("tokens/s sampled", (("tokens/s", lambda line: line["tokens_per_s"]),)),
)


def plot_run(folder: Path, picture: Path) -> Path:
    """Draw the curves of the run in `folder` into `picture`; its suffix chooses the format, PNG
    without one. Returns the path written.

    Raises UserError without matplotlib, without a finished step, and for a file that cannot be
    written.
    """
    lines = read_run(folder).lines
    if not lines:
        raise UserError(f"{folder} has no finished step to plot: let it run for a while first")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(f"--plot needs matplotlib: {how_to_install('plot')}") from None
    if not picture.name:
        raise UserError(f"cannot write {picture} (a folder): give a path like curves.png")
    picture = picture if picture.suffix else picture.with_suffix(".png")
    figure = Figure(figsize=(10, 7), layout="constrained")
    for axes, (title, curves) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        _draw(axes, title, curves, lines)
    figure.suptitle(folder.resolve().name, parse_math=False)  # a $ is a $
    try:
        figure.savefig(picture, dpi=120)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot write {picture} ({reason}): give a path like curves.png") from None
    return picture


def _draw(axes: Any, title: str, curves: Sequence[Curve], lines: Sequence[Metrics]) -> None:
    """One panel. A step without a value leaves a gap; one between gaps, or the only one, is a dot,
    since a line has no length there."""
    steps = [line["step"] for line in lines]
    for name, value in curves:
        heights = [value(line) for line in lines]
        if any(height is not None for height in heights):
            points = [float("nan") if height is None else height for height in heights]
            axes.plot(steps, points, label=name, marker="o", markersize=3)
    axes.set(title=title, xlabel="step")
    if title.startswith("share"):
        axes.set_ylim(-0.02, 1.02)  # lines at 0 and 1 stay in sight
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
