"""The size of a bundle's shortlist: as small as a limit on the loss allows, measured on dev data."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s import bundle
from keras_s2s.bundle import Bundle
from keras_s2s.errors import UserError
from keras_s2s.evaluation import find_metric, markdown_table
from keras_s2s.export.measure import ParallelText
from keras_s2s.runtime.feeds import Sentence, source_rows, target_rows
from keras_s2s.runtime.generator import Generator
from keras_s2s.runtime.options import choose_graph, options_of
from keras_s2s.runtime.shortlist import ShortlistTable
from keras_s2s.special_ids import EOS
from keras_s2s.text.tokenizer import Tokenizer

BATCHES = (1, 16, 128)
HEADING = "## Shortlist"
_SIZES = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200)
_PRECISION = "int8"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Shortlist:
    """What a size of the shortlist gives.

    Attributes:
        candidates: of each source id, at most; None is the whole vocabulary.
        coverage: the share of the references' tokens that their own sources' shortlists have.
        ids: how many ids a batch may choose from, on average: by the number of its sentences, those of like length.
        value: by the metric.
        changed: the share of texts with another output than from the whole vocabulary.
        sentences_per_second: with all cores, in batches of 32.
        chosen: whether the bundle has this size now.
    """

    candidates: int | None
    coverage: float
    ids: dict[int, float]
    value: float
    changed: float
    sentences_per_second: float
    chosen: bool = False


def fit_shortlist(
    path: str | os.PathLike[str],
    text: ParallelText,
    metric: str,
    max_loss: float,
    progress: Progress = lambda what: None,
) -> list[Shortlist]:
    """Makes a bundle's shortlist as small as it can be: the smallest size that loses no more, nor does any larger one.

    The bundle changes only when all is done. Its report gets a table of all sizes.

    Args:
        path: the bundle's folder; it has a shortlist, and a graph with one for its default search.
        text: dev data.
        metric: a name of `evaluation.METRICS`.
        max_loss: how much worse by the metric outputs may be than from the whole vocabulary.
        progress: is told what is being done.

    Returns:
        What was measured: of the whole vocabulary, then of each size, the smallest first.

    Raises:
        UserError: the bundle has no shortlist or no graph that takes one, or no size loses so little.
    """
    old = bundle.read(path)
    bundle.verify(old, old.manifest.hashes)
    _check(old, text)
    with bundle.building(path) as folder:
        shutil.copytree(old.path, folder, dirs_exist_ok=True)
        found = _Fitting(Bundle(folder, old.manifest), text, metric, progress).measured()
        chosen = _chosen(found, find_metric(metric).higher_is_better, max_loss, metric)
        manifest = _write(Bundle(folder, old.manifest), _table(old), chosen.candidates)
        bundle.write(folder, manifest.manifest)
        marked = [Shortlist(**{**asdict(one), "chosen": one.candidates == chosen.candidates}) for one in found]
        _add_to_report(folder, marked, metric, len(text.sources))
    return marked


def table(found: Sequence[Shortlist], metric: str) -> tuple[list[str], list[list[str | float]]]:
    """Header and rows; a star marks the size that the bundle has now."""
    batches = [f"ids of a batch of {size}" for size in BATCHES]
    header = ["candidates", "coverage", *batches, metric.replace("_", " "), "outputs changed", "sentences/s", ""]
    return header, [
        [
            "all" if one.candidates is None else one.candidates,
            f"{one.coverage:.2%}",
            *(f"{one.ids[size]:,.0f}" for size in BATCHES),
            one.value,
            f"{one.changed:.1%}",
            f"{one.sentences_per_second:,.0f}",
            "*" if one.chosen else "",
        ]
        for one in found
    ]


class _Fitting:
    """A copy of a bundle, in which the table gets one size after the other."""

    def __init__(self, made: Bundle, text: ParallelText, metric: str, progress: Progress) -> None:
        self._made, self._text, self._metric, self._progress = made, text, metric, progress
        tokenizers = made.manifest.tokenizers
        source, target = (Tokenizer.load(made.file(side.path)) for side in (tokenizers.source, tokenizers.target))
        rows = source_rows(source, text.sources, made.manifest.limits.max_source_tokens)
        self._sentences = [Sentence(row) for row in rows]
        self._labels = [[id for id in row if id != EOS] for row in target_rows(target, text.targets)]
        self._vocabulary = tokenizers.target.vocabulary_size

    def measured(self) -> list[Shortlist]:
        """What each size gives, from the whole vocabulary on."""
        whole = _table(self._made)
        outputs, speed = self._decoded(self._made, False, "the whole vocabulary")
        every = dict.fromkeys(BATCHES, float(self._vocabulary))
        found = [Shortlist(None, 1.0, every, self._value(outputs), 0.0, speed)]
        for size in _sizes(whole[0].shape[1]):
            made = _write(self._made, whole, size)
            ours, speed = self._decoded(made, True, f"{size} candidates")
            changed = sum(a != b for a, b in zip(ours, outputs, strict=True)) / len(outputs)
            shortlist = ShortlistTable(whole[0][:, :size], whole[1])
            ids = {batch: self._ids(shortlist, batch) for batch in BATCHES}
            found.append(Shortlist(size, self._coverage(shortlist), ids, self._value(ours), changed, speed))
        return found

    def _decoded(self, made: Bundle, shortlist: bool, what: str) -> tuple[list[str], float]:
        self._progress(f"decoding with {what}")
        generator = Generator(made, _PRECISION, None)
        options: dict[str, Any] = {"scores": False, "shortlist": shortlist}
        generator(["."], **options)  # Loads the graph.
        begin = time.perf_counter()
        outputs = [some[0].text for some in generator.stream(self._text.sources, **options)]
        return outputs, len(outputs) / (time.perf_counter() - begin)

    def _value(self, outputs: list[str]) -> float:
        measure = find_metric(self._metric)
        return measure(outputs, list(self._text.targets))[measure.name]

    def _coverage(self, shortlist: ShortlistTable) -> float:
        there = total = 0
        for sentence, labels in zip(self._sentences, self._labels, strict=True):
            there += int(np.isin(labels, shortlist.of([sentence])).sum())
            total += len(labels)
        return there / max(total, 1)

    def _ids(self, shortlist: ShortlistTable, batch: int) -> float:
        """Of batches as a generator makes them: sentences of like length."""
        ordered = sorted(self._sentences, key=len)
        some = [ordered[begin : begin + batch] for begin in range(0, len(ordered), batch)]
        return float(np.mean([len(shortlist.of(sentences)) for sentences in some]))


def _sizes(most: int) -> list[int]:
    return [*(size for size in _SIZES if size < most), most]


def _check(made: Bundle, text: ParallelText) -> None:
    manifest, where = made.manifest, str(made.path)
    if not len(text.sources):
        raise UserError("shortlist: no sentences; give some as they will come, and their references")
    if manifest.shortlist is None:
        raise UserError(
            f"{where}: has no shortlist; export it with export.shortlist, and a graph such as greedy-shortlist"
        )
    options = options_of(manifest, {"shortlist": True})
    choose_graph(manifest, _PRECISION, options, False, where)


def _table(made: Bundle) -> tuple[np.ndarray, np.ndarray]:
    assert made.manifest.shortlist is not None
    with np.load(made.file(made.manifest.shortlist.path), allow_pickle=False) as arrays:
        return arrays["candidates"], arrays["always"]


def _write(made: Bundle, whole: tuple[np.ndarray, np.ndarray], size: int | None) -> Bundle:
    """The bundle with so many candidates of each source id."""
    file = made.manifest.shortlist
    assert file is not None
    np.savez_compressed(made.path / file.path, candidates=whole[0][:, :size], always=whole[1])
    changed = file.model_copy(update={"sha256": bundle.sha256(made.path / file.path)})
    return Bundle(made.path, made.manifest.model_copy(update={"shortlist": changed}))


def _chosen(found: Sequence[Shortlist], higher_is_better: bool, max_loss: float, metric: str) -> Shortlist:
    sign = 1 if higher_is_better else -1
    whole, *sizes = found
    losses = [sign * (whole.value - one.value) for one in sizes]
    if losses[-1] > max_loss:
        raise UserError(
            f"shortlist: even with {sizes[-1].candidates} candidates {losses[-1]:.2f} {metric} are lost, and at most "
            f"{max_loss:g} may be; allow more, or leave the shortlist out"
        )
    place = len(sizes) - 1
    while place and losses[place - 1] <= max_loss:
        place -= 1
    return sizes[place]


def _add_to_report(folder: Path, found: Sequence[Shortlist], metric: str, sentences: int) -> None:
    """Writes the section in the place of the one that may be there."""
    report = folder / "report.md"
    before, _, after = report.read_text(encoding="utf-8").partition(HEADING) if report.exists() else ("", "", "")
    _, heading, rest = after.partition("\n## ")
    report.write_text(
        f"{before.rstrip()}\n\n{HEADING}\n\n"
        f"{sentences:,} dev sentences, decoded in int8 as the bundle does by default, in batches of 32 with all cores. "
        "Coverage is the share of the references' tokens that a source's shortlist has; the shortlist of a batch has "
        "what any of its sources may need. A star marks the size that was taken.\n\n"
        f"{markdown_table(*table(found, metric))}{heading}{rest}",
        encoding="utf-8",
    )
