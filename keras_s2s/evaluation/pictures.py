"""Pictures of what a model attends to."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

_DOTS_PER_INCH = 150
_INK, _FAINT = "#30343b", "#8a9099"
# matplotlib ships no font with Chinese, Japanese or Korean glyphs; these are what systems have.
_CJK_FAMILIES = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans CJK KR",
    "Noto Sans JP",
    "Source Han Sans",
    "IPAexGothic",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Arial Unicode MS",
)


def attention_picture(
    path: Path | BinaryIO, weights: np.ndarray, source: Sequence[str], target: Sequence[str], title: str
) -> None:
    """Writes a heat map of attention as a PNG.

    Target tokens are the rows, from top to bottom, and source tokens the columns. The darkest colour is the
    largest weight. A character that no installed font can draw is shown as its code point, such as U+5E74.

    Args:
        path: the file to write, or an open one.
        weights: (T,S), from target position to source position, not negative.
        source: the S source tokens.
        target: the T target tokens.
        title: a line above the picture.

    Raises:
        ValueError: weights are not of shape (T,S), or there are no tokens.
    """
    weights = np.asarray(weights, dtype=np.float32)
    if weights.shape != (len(target), len(source)) or not weights.size:
        raise ValueError(
            f"weights are of shape {weights.shape}, for {len(target)} target and {len(source)} source tokens"
        )
    rows, columns = weights.shape
    cell = float(np.clip(6.0 / max(rows, columns), 0.27, 0.5))  # inches
    width, height = columns * cell, rows * cell
    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    # The cells fill the figure. Labels and colour bar stand outside, and the saved box grows around them.
    axes = figure.add_axes((0, 0, 1, 1))
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=float(weights.max()), aspect="auto")
    _draw_labels(axes, source, target, title)
    _draw_grid(axes, rows, columns)
    _draw_colour_bar(figure, image, left=1 + 0.18 / width, width=0.14 / width)
    figure.savefig(path, format="png", bbox_inches="tight", pad_inches=0.2)


def _draw_labels(axes: Axes, source: Sequence[str], target: Sequence[str], title: str) -> None:
    # Without parse_math=False a label with two dollar signs is read as a formula.
    style: dict[str, Any] = {"parse_math": False, "fontfamily": _families(), "fontsize": 10, "color": _INK}
    names: dict[str, Any] = {"parse_math": False, "fontsize": 9, "color": _FAINT}
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(range(len(source)), [_label(token) for token in source], **style)
    axes.set_yticks(range(len(target)), [_label(token) for token in target], **style)
    for text in axes.get_xticklabels():
        # Single characters stand upright in their column; anything longer would run into the next one.
        text.set_rotation(0 if len(text.get_text()) == 1 else 90)
    axes.set_xlabel("source", loc="left", labelpad=6, **names)
    axes.set_ylabel("target", loc="top", labelpad=6, **names)
    axes.set_title(_label(title, space=" "), loc="left", pad=10, **{**style, "fontsize": 12})


def _draw_grid(axes: Axes, rows: int, columns: int) -> None:
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e3e6ea", linewidth=0.6)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_color("#c4c9d0")


def _draw_colour_bar(figure: Figure, image: AxesImage, left: float, width: float) -> None:
    bar = figure.colorbar(image, cax=figure.add_axes((left, 0, width, 1)))
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=_FAINT)
    bar.outline.set_visible(False)


def _label(text: str, space: str = "␣") -> str:
    """Makes every character of a token visible."""
    # Inside longer text, brackets keep a code point apart from its neighbours.
    code_point = "U+{:04X}" if len(text) == 1 else "[U+{:04X}]"
    shown = (character if _drawable(character) else code_point.format(ord(character)) for character in text)
    return "".join(shown).replace(" ", space)


def _drawable(character: str) -> bool:
    return character.isprintable() and any(ord(character) in _glyphs(family) for family in _families())


@functools.cache
def _families() -> list[str]:
    installed = set(font_manager.fontManager.get_font_names())
    return ["DejaVu Sans", *(family for family in _CJK_FAMILIES if family in installed)]


@functools.cache
def _glyphs(family: str) -> frozenset[int]:
    """The code points that a font family can draw."""
    return frozenset(font_manager.get_font(font_manager.findfont(family)).get_charmap())
