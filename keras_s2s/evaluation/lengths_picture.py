"""A picture of how long the sources and targets of a corpus are."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_INK, _FAINT, _BAR = "#30343b", "#8a9099", "#1f5fa8"


def lengths_picture(path: Path, counts: np.ndarray, unit: str) -> None:
    """Writes a PNG: how many pairs have each length of source and target, and each length of either side.

    Args:
        path: the file to write.
        counts: (S, T) pairs with s ids of the source and t of the target; longer ones count as the longest. (1, T) of
            a language model.
        unit: of sources.
    """
    figure = Figure(figsize=(9.5, 3.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    sides = [("target ids", counts.sum(axis=0))]
    if len(counts) > 1:
        sides = [(f"source {unit}", counts.sum(axis=1)), *sides]
    *both, source, target = figure.subplots(1, 3) if len(sides) > 1 else (None, figure.subplots(1, 1))
    for axes, (label, of_side) in zip([axes for axes in (source, target) if axes is not None], sides, strict=True):
        axes.bar(np.arange(len(of_side)), of_side, width=1, color=_BAR)
        axes.set_xlabel(label, fontsize=9, color=_INK)
        axes.set_ylabel("pairs", fontsize=9, color=_INK)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in both:
        drawn = np.ma.masked_equal(counts.T, 0)
        axes.imshow(drawn, origin="lower", aspect="auto", cmap="Blues", norm=LogNorm(1, max(counts.max(), 2)))
        axes.set_xlabel(sides[0][0], fontsize=9, color=_INK)
        axes.set_ylabel(sides[1][0], fontsize=9, color=_INK)
    for axes in figure.axes:
        axes.tick_params(labelsize=8, colors=_FAINT)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.savefig(path, format="png")
