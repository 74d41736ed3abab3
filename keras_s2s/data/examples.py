"""A corpus as a model reads it: ids or features, labels, weights."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_s2s.data.blocks import blocks
from keras_s2s.data.pairs import Pairs
from keras_s2s.data.ragged import Ragged
from keras_s2s.data.text_column import TextColumn
from keras_s2s.errors import UserError
from keras_s2s.special_ids import EOS
from keras_s2s.text import Tokenizer

_TEXTS = 10_000


@dataclass(frozen=True)
class Texts:
    """The texts that examples were encoded from, and their tokenizers."""

    sources: Sequence[Any]
    targets: Sequence[str]
    source_tokenizer: Tokenizer | None
    target_tokenizer: Tokenizer

    def take(self, rows: Sequence[int] | np.ndarray) -> "Texts":
        """The texts at `rows`, in that order. They are looked up when they are asked for: few batches need texts."""
        sources, targets = (_Chosen.of(side, rows) for side in (self.sources, self.targets))
        return Texts(sources, targets, self.source_tokenizer, self.target_tokenizer)


@dataclass(frozen=True)
class _Chosen(Sequence[Any]):
    """Some rows of a column, in some order."""

    column: Sequence[Any]
    rows: np.ndarray

    @classmethod
    def of(cls, column: Sequence[Any], rows: Sequence[int] | np.ndarray) -> "_Chosen":
        rows = np.asarray(rows)
        return cls(column.column, column.rows[rows]) if isinstance(column, cls) else cls(column, rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return _Chosen(self.column, self.rows[place])
        return self.column[int(self.rows[place])]


@dataclass(frozen=True)
class TeacherLabels:
    """What a teacher expects at each place of each target, given the source and the target before it.

    Attributes:
        ids: (T, k) of each pair, its k likeliest ids, the likeliest first, in 16 bits if the vocabulary allows. A pair
            that is too long for the training has no rows.
        log_probabilities: (T, k) of each pair, those of the ids, float16.
        fingerprint: of what they were made from; empty where nobody asks.
    """

    ids: Ragged
    log_probabilities: Ragged
    fingerprint: str = ""

    def take(self, rows: Sequence[int] | np.ndarray) -> "TeacherLabels":
        """Those of the pairs at `rows`, in that order."""
        return replace(self, ids=self.ids.take(rows), log_probabilities=self.log_probabilities.take(rows))


@dataclass(frozen=True)
class Examples:
    """Encoded pairs. Rows of ids may be given as lists, too.

    Attributes:
        sources: ids of each source and EOS, or its features (S, F) float32; None for a language model.
        labels: ids of each target and EOS.
        weights: (N,) float32, what each pair counts; 1 each if None.
        alignments: (T,) int32 of each pair, the source place of each label or -1; None where nobody asks.
        texts: what they were encoded from; None where the ids are not those of the texts any more.
        teacher: what a teacher expects of each target; None where nobody learns from one.
    """

    sources: Ragged | None
    labels: Ragged
    weights: np.ndarray | None = None
    alignments: Ragged | None = None
    texts: Texts | None = None
    teacher: TeacherLabels | None = None

    def __post_init__(self) -> None:
        """Puts the rows of each side into one array."""
        for side in ("sources", "labels", "alignments"):
            if getattr(self, side) is not None:
                object.__setattr__(self, side, Ragged.of(getattr(self, side)))

    @functools.cached_property
    def source_lengths(self) -> np.ndarray:
        """(N,) ids or frames; zeros for a language model."""
        return np.zeros_like(self.labels.ends) if self.sources is None else self.sources.lengths

    @property
    def label_lengths(self) -> np.ndarray:
        """(N,) ids."""
        return self.labels.lengths

    @functools.cached_property
    def costs(self) -> np.ndarray:
        """(N,) the length of the longer side."""
        return np.maximum(self.source_lengths, self.label_lengths)

    def lengths_at(self, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """(M,) `source_lengths` and `label_lengths` of some rows alone, see `Ragged.lengths_at`."""
        labels = self.labels.lengths_at(rows)
        return np.zeros_like(labels) if self.sources is None else self.sources.lengths_at(rows), labels

    @property
    def has_features(self) -> bool:
        """Whether sources are features."""
        return self.sources is not None and self.sources.values.ndim > 1

    def take(self, rows: Sequence[int] | np.ndarray) -> "Examples":
        """The examples at `rows`, in that order."""
        return Examples(
            None if self.sources is None else self.sources.take(rows),
            self.labels.take(rows),
            None if self.weights is None else self.weights[rows],
            None if self.alignments is None else self.alignments.take(rows),
            None if self.texts is None else self.texts.take(rows),
            None if self.teacher is None else self.teacher.take(rows),
        )

    def length_keys(self) -> np.ndarray:
        """(N,) int64, see the function of this name."""
        return length_keys(self.source_lengths, self.label_lengths, int(self.costs.max()))

    def known_texts(self, who: str) -> Texts:
        """The texts and tokenizers that the examples were encoded from.

        Raises:
            UserError: that is not known; `who` asked.
        """
        if self.texts is None:
            raise UserError(f"{who}: works on texts, and ids were changed before; put it in front of what changes ids")
        return self.texts

    def sampled(self, alpha: float, seed: tuple[int, ...]) -> "Examples":
        """The same texts cut into other pieces by chance, see `Tokenizer.sample`. Characters, words and features stay.

        Args:
            alpha: how often.
            seed: the same one gives the same pieces.

        Raises:
            UserError: no side has sub-words, or the texts are not known.
        """
        texts = self.known_texts("sub-word sampling")
        of_sources, of_targets = np.random.SeedSequence(seed).generate_state(2).tolist()
        sources = _sampled(self.sources, texts.sources, texts.source_tokenizer, alpha, of_sources)
        labels = _sampled(self.labels, texts.targets, texts.target_tokenizer, alpha, of_targets)
        if sources is self.sources and labels is self.labels:
            raise UserError(
                "sub-word sampling: no side has sub-words; take a tokenizer of bpe or unigram, or leave it out"
            )
        return Examples(sources, labels, self.weights)


def length_keys(sources: np.ndarray, labels: np.ndarray, longest: int) -> np.ndarray:
    """(N,) int64: pairs sorted by these numbers have neighbours of similar lengths on both sides.

    Among pairs of one cost, the length of the longer side, first the target grows to that length, then the source
    shrinks. Every other cost goes that way backwards, so that it begins with such pairs as the one before it ended
    with.

    The order is the same with any `longest` that no cost exceeds: the two sides differ by no more than that, so numbers
    are compared by cost, and only of equal costs by what the sides differ.

    Args:
        sources: (N,) lengths.
        labels: (N,) lengths.
        longest: no side is longer. All numbers are below (longest + 1) (2 longest + 1).
    """
    costs, place = np.maximum(sources, labels), longest + labels - sources
    return costs * (2 * longest + 1) + np.where(costs % 2, place, 2 * longest - place)


def encode(pairs: Pairs, source_tokenizer: Tokenizer | None, target_tokenizer: Tokenizer) -> Examples:
    """Encodes a corpus.

    Args:
        pairs: of texts, or of features and texts.
        source_tokenizer: of its sources; None for a language model, which reads targets alone, and for features.
        target_tokenizer: of its targets.

    Raises:
        UserError: there are no pairs.
    """
    if not len(pairs):
        raise UserError("batches: no pairs; give at least one")
    sources = Ragged.of(pairs.sources) if pairs.has_features else None
    if source_tokenizer is not None:
        sources = _encoded(source_tokenizer, pairs.sources)
    labels = _encoded(target_tokenizer, pairs.targets)
    weights = None if pairs.weights is None else np.array(pairs.weights, np.float32)
    texts = Texts(pairs.sources, pairs.targets, source_tokenizer, target_tokenizer)
    return Examples(sources, labels, weights, texts=texts)


def with_eos(rows: Sequence[Sequence[int]]) -> Ragged:
    """Rows of ids, EOS behind each."""
    return Ragged.of([[*ids, EOS] for ids in rows])


def _encoded(tokenizer: Tokenizer, texts: Sequence[str]) -> Ragged:
    parts = []
    for span in blocks(len(texts), _TEXTS):
        ids = tokenizer.encode_corpus(list(TextColumn.of(texts[span]).utf8()))
        parts.append(Ragged(ids, np.flatnonzero(ids == EOS) + 1))
    return Ragged.join(parts)


def _sampled(rows: Any, texts: Sequence[Any], tokenizer: Tokenizer | None, alpha: float, seed: int) -> Any:
    """Ids of another segmentation of each text and EOS; the same rows where there is no other."""
    if tokenizer is None or not tokenizer.has_subwords:
        return rows
    return with_eos(tokenizer.sample(texts, alpha, seed))
