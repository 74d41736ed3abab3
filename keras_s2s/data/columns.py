"""Pairs and examples as columns of a map, and back."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_s2s.data.corpus_map import Column, CorpusMap
from keras_s2s.data.examples import Examples, Texts
from keras_s2s.data.pairs import Pairs
from keras_s2s.data.ragged import Ragged
from keras_s2s.data.text_column import TextColumn

WEIGHTS = "weight"


def pair_columns(pairs: Pairs) -> dict[str, Column]:
    """The columns of pairs: `source`, texts or features, `target` and `weight`, which is 1 where there is none."""
    weights = np.ones(len(pairs)) if pairs.weights is None else np.asarray(pairs.weights, np.float64)
    source = Ragged.of(pairs.sources) if pairs.has_features else TextColumn.of(pairs.sources).rows
    return {"source": source, "target": TextColumn.of(pairs.targets).rows, WEIGHTS: weights}


def mapped_pairs(corpus: CorpusMap) -> Pairs:
    """The pairs of a map, which are read when they are asked for."""
    sources: Any = corpus.columns["source"]
    if sources.values.dtype == np.uint8:
        sources = TextColumn(sources)
    targets: Any = corpus.columns["target"]
    weights: Any = corpus.columns.get(WEIGHTS)
    return Pairs(sources, TextColumn(targets), weights)


def slices(pairs: Pairs, size: int) -> Iterator[tuple[Pairs, slice]]:
    """Pairs of a map in blocks of `size`, and where each block stands."""
    for begin in range(0, len(pairs), size):
        span = slice(begin, begin + size)
        weights = None if pairs.weights is None else np.array(pairs.weights[span])
        yield Pairs(pairs.sources[span], pairs.targets[span], weights), span


def example_columns(examples: Examples) -> dict[str, Column]:
    """The columns of examples: `target`, and `source` and `weight` where they have any."""
    columns: dict[str, Column | None] = {
        "source": examples.sources,
        "target": examples.labels,
        WEIGHTS: examples.weights,
    }
    return {name: column for name, column in columns.items() if column is not None}


def mapped_examples(corpus: CorpusMap, texts: Texts) -> Examples:
    """The examples of a map, which are read when they are asked for.

    Args:
        corpus: the map; features are not in it.
        texts: what they were encoded from.
    """
    sources: Any = corpus.columns.get("source")
    if sources is None and isinstance(texts.sources, Ragged):
        sources = texts.sources
    labels: Any = corpus.columns["target"]
    weights: Any = corpus.columns.get(WEIGHTS)
    return Examples(sources, labels, weights, texts=texts)
