"""Measurements of number formats, and their part of a bundle's report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keras_s2s.evaluation import markdown_table
from keras_s2s.evaluation.tradeoff_picture import Point, tradeoff_picture

HEADING = "## Number formats"
PICTURE = "formats.png"
REPORT = "report.md"


@dataclass(frozen=True)
class Variant:
    """The measurements of one precision.

    Attributes:
        name: of the precision.
        kept: layers that stayed in float32.
        depends_on_batch: whether a text's result depends on the others in its batch.
        value: by the metric.
        interval: half the width of the 95 % interval around it, by resampling lines.
        p_value: how likely so large a difference from float32 is by chance; None of float32 itself.
        changed: the share of texts with another output than float32's.
        megabytes: on disk.
        peak_megabytes: the most memory of a process that decodes in batches of 32; None where the system does not say.
        tokens_per_second: of the same process, with all cores.
        is_best: whether no other one is at least as good, as small and as quick, and in one of these better.
    """

    name: str
    kept: tuple[str, ...]
    depends_on_batch: bool
    value: float
    interval: float
    p_value: float | None
    changed: float
    megabytes: float
    peak_megabytes: float | None
    tokens_per_second: float
    is_best: bool = False


def marked(variants: Sequence[Variant], higher_is_better: bool) -> Iterator[Variant]:
    """Says of each whether it is of the Pareto set of quality, size on disk and speed."""
    sign = 1 if higher_is_better else -1

    def merits(variant: Variant) -> tuple[float, ...]:
        return sign * variant.value, -variant.megabytes, variant.tokens_per_second

    for variant in variants:
        own = merits(variant)
        beaten = any(
            merits(other) != own and all(a >= b for a, b in zip(merits(other), own, strict=True)) for other in variants
        )
        yield replace(variant, is_best=not beaten)


def table(variants: Sequence[Variant], metric: str) -> tuple[list[str], list[list[str | float]]]:
    """Header and rows; a star marks the Pareto set of quality, size on disk and speed."""
    header = ["format", metric.replace("_", " "), "95 %", "p", "outputs changed", "MB", "peak MB", "tokens/s", ""]
    return header, [
        [
            v.name,
            v.value,
            f"± {v.interval:.2f}",
            "" if v.p_value is None else f"{v.p_value:.3f}",
            "" if v.p_value is None else f"{v.changed:.1%}",
            f"{v.megabytes:.1f}",
            "" if v.peak_megabytes is None else round(v.peak_megabytes),
            round(v.tokens_per_second),
            "*" if v.is_best else "",
        ]
        for v in variants
    ]


def remarks(variants: Sequence[Variant]) -> list[str]:
    """Remarks on single variants, a line each."""
    kept = [f"{v.name}: in fp32 stay {', '.join(v.kept)}, which change most outputs" for v in variants if v.kept]
    mixed = [
        f"{v.name}: a text's result depends on the other texts in its batch" for v in variants if v.depends_on_batch
    ]
    return kept + mixed


def add_to_report(folder: Path, variants: Sequence[Variant], metric: str, sentences: int) -> None:
    """Writes the section in the place of the one that may be there, and its picture."""
    points = [Point(v.name, v.value, v.interval, v.megabytes, v.tokens_per_second, v.is_best) for v in variants]
    tradeoff_picture(folder / PICTURE, points, metric)
    report = folder / REPORT
    before = report.read_text(encoding="utf-8").partition(HEADING)[0].rstrip() if report.exists() else ""
    listed = "".join(f"{line}.\n\n" for line in remarks(variants))
    report.write_text(
        f"{before}\n\n{HEADING}\n\n"
        f"{sentences:,} dev sentences, decoded as the bundle does by default, in batches of 32 with all cores. The "
        "interval and p, of the difference from fp32, are of paired bootstrap resampling; a star marks what no other "
        "format beats in quality, size and speed together.\n\n"
        f"{markdown_table(*table(variants, metric))}\n{listed}![number formats]({PICTURE})\n",
        encoding="utf-8",
    )
