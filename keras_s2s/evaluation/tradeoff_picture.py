"""A picture of what quality costs: a metric over size and over speed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_INK, _FAINT = "#30343b", "#8a9099"
_COLOURS = ("#30343b", "#1f5fa8", "#2f9e77", "#c8553d", "#8e5ea2", "#c9a227", "#5aa9c9", "#a05a2c")


@dataclass(frozen=True)
class Point:
    """One form of a model.

    Attributes:
        name: stands in the legend.
        value: by the metric.
        interval: half the width of the 95 % interval around it.
        megabytes: on disk.
        speed: in the unit of the picture.
        is_best: its point is full; those of others are hollow.
    """

    name: str
    value: float
    interval: float
    megabytes: float
    speed: float
    is_best: bool


def tradeoff_picture(path: Path, points: Sequence[Point], metric: str, unit: str = "tokens a second") -> None:
    """Writes a PNG with two panels: the metric, with its interval, over megabytes and over speed.

    Args:
        path: the file to write.
        points: the forms that are compared.
        metric: its name.
        unit: of speed.

    Raises:
        ValueError: there are no points.
    """
    if not points:
        raise ValueError("no points to draw")
    figure = Figure(figsize=(9.5, 3.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, points, [point.megabytes for point in points], "MB on disk")
    _draw(right, points, [point.speed for point in points], unit)
    right.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False, labelcolor=_INK)
    left.set_ylabel(metric.replace("_", " "), fontsize=9, color=_INK, parse_math=False)
    figure.savefig(path, format="png")


def _draw(axes: Axes, points: Sequence[Point], across: Sequence[float], label: str) -> None:
    for number, (point, x) in enumerate(zip(points, across, strict=True)):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.errorbar(
            [x],
            [point.value],
            yerr=[point.interval],
            fmt="o",
            color=colour,
            markerfacecolor=colour if point.is_best else "white",
            elinewidth=0.6,
            markersize=6,
            label=point.name,
        )
    axes.set_xlim(left=0)
    axes.margins(x=0.1)
    axes.set_xlabel(label, fontsize=9, color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=_FAINT)
