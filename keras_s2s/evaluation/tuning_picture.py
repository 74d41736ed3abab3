"""A picture of a search for better values: its course, and what each value gave."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_INK, _FAINT, _STRONG, _PALE = "#30343b", "#8a9099", "#1f5fa8", "#9db9d9"
_COLUMNS, _TICKS = 3, 6

Trial = tuple[int, float, bool, Mapping[str, Any]]
"""Number, value, whether it came to its end, values of the keys."""


def tuning_picture(
    path: Path, trials: Sequence[Trial], metric: str, higher_is_better: bool, log: Sequence[str] = ()
) -> None:
    """Writes a PNG: the metric over the trials with the best so far, and over the values of each key.

    Trials that were stopped are pale.

    Args:
        path: the file to write.
        trials: those that have a value.
        metric: its name.
        higher_is_better: which values are good.
        log: keys that are shown on a logarithmic axis.

    Raises:
        ValueError: there are no trials.
    """
    if not trials:
        raise ValueError("no trials to draw")
    keys = list(trials[0][3])
    columns = 2 if len(keys) in (1, 3) else _COLUMNS
    rows = math.ceil((1 + len(keys)) / columns)
    figure = Figure(figsize=(4 * columns, 3.1 * rows), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    _draw_course(grid[0], trials, higher_is_better)
    for axes, key in zip(grid[1:], keys, strict=False):
        _draw_key(axes, trials, key, key in log)
    for place, axes in enumerate(grid):
        axes.set_visible(place <= len(keys))
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, colors=_FAINT)
    for row in range(rows):
        grid[row * columns].set_ylabel(f"dev {metric}", fontsize=9, color=_INK)
    figure.savefig(path, format="png")


def _draw_course(axes: Axes, trials: Sequence[Trial], higher_is_better: bool) -> None:
    ordered = sorted(trials, key=lambda trial: trial[0])
    numbers, best, so_far = [], [], None
    for number, value, whole, _ in ordered:
        if whole and (so_far is None or (value > so_far if higher_is_better else value < so_far)):
            so_far = value
        if so_far is not None:
            numbers.append(number)
            best.append(so_far)
    axes.step(numbers, best, where="post", color=_STRONG, linewidth=1, label="best so far")
    _draw_points(axes, [trial[0] for trial in ordered], ordered)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial", fontsize=9, color=_INK)
    axes.legend(fontsize=7, frameon=False, labelcolor=_INK)


def _draw_key(axes: Axes, trials: Sequence[Trial], key: str, log: bool) -> None:
    values = [trial[3][key] for trial in trials]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        # Words are put side by side, in an order that does not depend on the trials.
        names = sorted({str(value) for value in values})
        places: list[Any] = [names.index(str(value)) for value in values]
        axes.set_xticks(range(len(names)), names)
        axes.margins(x=0.3)
    else:
        places = values
        if log:
            axes.set_xscale("log")
        elif len(set(values)) <= _TICKS:
            axes.set_xticks(sorted(set(values)))
    _draw_points(axes, places, trials)
    axes.set_xlabel(key, fontsize=9, color=_INK, parse_math=False)


def _draw_points(axes: Axes, places: Sequence[Any], trials: Sequence[Trial]) -> None:
    for whole, colour, label in ((False, _PALE, "stopped"), (True, _STRONG, "complete")):
        some = [(place, trial[1]) for place, trial in zip(places, trials, strict=True) if trial[2] == whole]
        if some:
            across, up = zip(*some, strict=True)
            axes.scatter(across, up, s=18, color=colour, label=label, zorder=3)
