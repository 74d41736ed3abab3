"""Preprocessing of training text: pieces that change pairs or leave some out, and what each of them did.

All of it is for the training data: dev and test data stay as they were written, since that is what the shipped model
meets. A source's Unicode normalization that the shipped model shall do as well belongs into the tokenizer
(`text.train(normalization="nfd")`), which is part of the model. A target decomposed here comes out of the model
decomposed.

Most pieces look at one pair at a time, so a corpus can go through them in blocks. One that must see the whole corpus is
a `WholeCorpusPiece`: it makes a few numbers of each pair, block by block, and then decides by the numbers of all.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, SerializeAsAny

from keras_s2s.config import Config
from keras_s2s.data.pairs import Pairs
from keras_s2s.errors import UserError
from keras_s2s.registry import ConfigRegistry

_EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """The effect of one piece of preprocessing on some pairs.

    Attributes:
        piece: its kind.
        reason: why they were left out, or what was done to them.
        dropped: whether they were left out.
        count: how many.
        examples: the first three of them, source and target of each as they were.
    """

    piece: str
    reason: str
    dropped: bool
    count: int
    examples: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, piece: str, reason: str, pairs: Pairs, rows: Sequence[int], dropped: bool) -> "Finding":
        """Makes one of the pairs at `rows`, of which there is at least one."""
        examples = tuple((pairs.sources[row], pairs.targets[row]) for row in rows[:_EXAMPLES])
        return cls(piece, reason, dropped, len(rows), examples)


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Adds up what pieces found in one block after the other.

    Args:
        findings: of the first block, then those of the second, and so on.

    Returns:
        One finding for each piece and reason, with all counts and the first examples. Pieces come in the order in which
        they are seen first, and so do the reasons of each.
    """
    by_piece: dict[str, dict[str, Finding]] = {}
    for finding in findings:
        reasons = by_piece.setdefault(finding.piece, {})
        before = reasons.get(finding.reason)
        if before is not None:
            examples = (*before.examples, *finding.examples)[:_EXAMPLES]
            finding = replace(before, count=before.count + finding.count, examples=examples)
        reasons[finding.reason] = finding
    return [finding for reasons in by_piece.values() for finding in reasons.values()]


class Piece(Config, ABC):
    """Changes pairs of text, or leaves some out. A subclass's fields are the options that a recipe gives it.

    A filter of single pairs derives from `PairFilter`, one that compares pairs with each other from `WholeCorpusPiece`.
    Blocks of a corpus may go to different processes, so a piece can be pickled, and keeps nothing from call to call.

    Args:
        kind: its name in a recipe.
    """

    kind: str

    @abstractmethod
    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        """Applies it.

        Args:
            pairs: texts, as many as there are in a block, or none.

        Returns:
            The pairs that are left, in the same order, and what was done. A corpus in blocks gives what it gives as a
            whole, except of a `WholeCorpusPiece`.
        """

    def inputs(self) -> Mapping[str, str]:
        """What the result depends on beside the options, such as a model: a name and a fingerprint of each.

        Raises:
            UserError: one is not there.
        """
        return {}


class PairFilter(Piece):
    """A piece that leaves out single pairs, by what they look like."""

    @abstractmethod
    def reason(self, source: str, target: str) -> str | None:
        """Why a pair is left out; None if it stays. Equal reasons are counted together, so there should be few."""

    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        """Returns the pairs that are left."""
        kept: list[int] = []
        dropped: dict[str, list[int]] = {}
        for row, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
            why = self.reason(source, target)
            if why is None:
                kept.append(row)
            else:
                dropped.setdefault(why, []).append(row)
        if not dropped:
            return pairs, []
        findings = [Finding.of(self.kind, why, pairs, rows, dropped=True) for why, rows in dropped.items()]
        return pairs.take(kept), findings


class WholeCorpusPiece(Piece):
    """A piece that leaves out pairs by comparing each with those of the whole corpus."""

    @property
    @abstractmethod
    def reason(self) -> str:
        """Why pairs are left out."""

    @abstractmethod
    def signatures(self, pairs: Pairs) -> np.ndarray:
        """What must be known of each pair of a block.

        Args:
            pairs: texts, or none.

        Returns:
            (N, ...), the shape behind N and the dtype the same for every block.
        """

    @abstractmethod
    def kept(self, signatures: np.ndarray) -> np.ndarray:
        """Chooses the pairs that stay.

        Args:
            signatures: (N, ...) those of the whole corpus, which may be the map of a file. They may be larger than the
                memory, so they are to be read a part at a time, and are not changed.

        Returns:
            (N,) bool, whether each pair is kept.
        """

    def sift(self, pairs: Pairs, kept: np.ndarray) -> tuple[Pairs, list[Finding]]:
        """Leaves out what was not chosen.

        Args:
            pairs: a block.
            kept: (N,) bool, those of `kept` that are for the block.
        """
        dropped = np.flatnonzero(~kept).tolist()
        if not dropped:
            return pairs, []
        left = pairs.take(compress(range(len(pairs)), kept.tolist()))
        return left, [Finding.of(self.kind, self.reason, pairs, dropped, dropped=True)]

    def __call__(self, pairs: Pairs) -> tuple[Pairs, list[Finding]]:
        """Returns the pairs that are left of a whole corpus."""
        return self.sift(pairs, self.kept(self.signatures(pairs)))


PIECES: ConfigRegistry[Piece] = ConfigRegistry("piece of preprocessing", Piece)
"""All that a recipe may name in `data.preprocessing`; `PIECES.register` adds one."""

NamedPiece = Annotated[SerializeAsAny[Piece], BeforeValidator(PIECES.parse)]
"""The type of a config's field that names one."""


def preprocess(pairs: Pairs, pieces: Sequence[Piece]) -> tuple[Pairs, list[Finding]]:
    """Applies pieces one after the other, and says what each of them did.

    Raises:
        UserError: the sources are features; or no pair is left.
    """
    if pieces and pairs.has_features:
        raise UserError("preprocessing: is for text, but the sources are features; leave it out")
    findings: list[Finding] = []
    for piece in pieces:
        before = len(pairs)
        pairs, found = piece(pairs)
        findings += found
        if not len(pairs):
            raise UserError(f"preprocessing: {piece.kind}: leaves out all of {before} pairs, {found[0].reason}")
    return pairs, findings
