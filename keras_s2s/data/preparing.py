"""What is done with each block of a corpus: pure functions, which any process can run.

They are all that a worker process imports, so it starts quickly.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_s2s.data.alignments import aligned
from keras_s2s.data.columns import example_columns, pair_columns
from keras_s2s.data.corpus_map import Part
from keras_s2s.data.examples import encode
from keras_s2s.data.mixtures import tagged
from keras_s2s.data.model_1 import Model1
from keras_s2s.data.overlap import HeldOut, Seen
from keras_s2s.data.pairs import Block, Pairs
from keras_s2s.data.preprocessing import Finding, Piece, WholeCorpusPiece
from keras_s2s.data.ragged import Ragged
from keras_s2s.text import Tokenizer

Item = tuple[Block, np.ndarray | None]
"""A block, and which of its pairs are kept, (N,) bool, if a piece that sees the whole corpus has chosen."""


@dataclass(frozen=True)
class Preparing:
    """Makes a part of a map of a block.

    Attributes:
        corpus: the number of the corpus.
        sift: leaves out of the block what it did not keep of the whole corpus.
        pieces: are applied then.
        whole: makes signatures then.
        tag: is put before each source at the end.
        has_sources: whether sources are kept.
    """

    corpus: int
    sift: WholeCorpusPiece | None
    pieces: Sequence[Piece]
    whole: WholeCorpusPiece | None
    tag: str | None = None
    has_sources: bool = True

    def __call__(self, item: Item) -> Part:
        """Does the work."""
        block, kept = item
        pairs = block.pairs()
        read, findings = len(pairs), list[Finding]()
        if self.sift is not None and kept is not None:
            pairs, findings = self.sift.sift(pairs, kept)
        for piece in self.pieces:
            pairs, found = piece(pairs)
            findings += found
        if not self.has_sources:
            pairs = dataclasses.replace(pairs, sources=[""] * len(pairs))
        columns = pair_columns(tagged(pairs, self.tag))
        if self.whole is not None:
            columns["signature"] = self.whole.signatures(pairs)
        return Part.of(
            columns,
            corpus=self.corpus,
            read=read,
            is_weighted=self._is_weighted(pairs),
            findings=[dataclasses.asdict(finding) for finding in findings],
        )

    def _is_weighted(self, pairs: Pairs) -> bool:
        # Weights of 1 are none once pairs are preprocessed. Fingerprints of finished runs are made so.
        is_preprocessed = bool(self.pieces) or self.sift is not None or self.whole is not None
        return pairs.weights is not None and (not is_preprocessed or bool((np.asarray(pairs.weights) != 1).any()))


@dataclass(frozen=True)
class Encoding:
    """Makes a part of a map of a block of pairs.

    Attributes:
        source_model: of SentencePiece; None where sources are not encoded.
        target_model: of SentencePiece.
    """

    source_model: bytes | None
    target_model: bytes

    @property
    def fingerprint(self) -> str:
        """Of both models."""
        return hashlib.sha256((self.source_model or b"") + self.target_model).hexdigest()

    @functools.cached_property
    def _tokenizers(self) -> tuple[Tokenizer | None, Tokenizer]:
        return None if self.source_model is None else Tokenizer(self.source_model), Tokenizer(self.target_model)

    def __call__(self, pairs: Pairs) -> Part:
        """Does the work."""
        return Part.of(example_columns(encode(pairs, *self._tokenizers)))


@dataclass(frozen=True)
class Aligning:
    """Makes a part of a map of a block of sources and labels.

    Attributes:
        model: aligns them.
    """

    model: Model1

    def __call__(self, block: tuple[Ragged, Ragged]) -> Part:
        """Does the work."""
        return Part.of({"alignment": aligned(self.model, *block)})


@dataclass(frozen=True)
class Looking:
    """Looks for the pairs of all splits in a block of training pairs."""

    splits: Mapping[Any, HeldOut]

    def __call__(self, block: Pairs) -> dict[Any, Seen]:
        """Does the work."""
        return {name: split.seen_in(block) for name, split in self.splits.items()}
