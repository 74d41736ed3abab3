"""A corpus: sources, their targets, and what each pair counts; one pair, a block of pairs, or all of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat, starmap
from typing import Any, NamedTuple, Protocol

import numpy as np

from keras_s2s.data.blocks import blocks
from keras_s2s.errors import UserError


class Pair(NamedTuple):
    """A source and its target.

    Attributes:
        source: a text; or, of speech, features: an array (S, F) float32.
        target: a text.
        weight: what the pair counts in the loss; 1 if None.
    """

    source: Any
    target: str
    weight: float | None = None


class Block(Protocol):
    """Some pairs of a corpus that follow each other, maybe not decoded yet. It can be pickled."""

    def pairs(self) -> "Pairs":
        """Makes the pairs.

        Raises:
            UserError: names the file, and the line or record, that cannot be read.
        """


@dataclass(frozen=True)
class Pairs:
    """Sources and their targets, one by one.

    Attributes:
        sources: texts; or, of speech, features: arrays (S, F) float32, S of each its own.
        targets: texts.
        weights: what each pair counts in the loss; 1 each if None.

    Raises:
        UserError: there are more of one than of the other, or a weight is not a positive, finite number.
    """

    sources: Sequence[Any]
    targets: Sequence[str]
    weights: Sequence[float] | np.ndarray | None = None

    def __post_init__(self) -> None:
        """Checks that every source has its target, and a weight if there are any."""
        if len(self.sources) != len(self.targets):
            raise UserError(f"{len(self.sources)} sources and {len(self.targets)} targets; give each source one target")
        if self.weights is None:
            return
        if len(self.weights) != len(self.targets):
            raise UserError(f"{len(self.targets)} pairs and {len(self.weights)} weights; give each pair one weight")
        for block in blocks(len(self.weights)):
            values = np.asarray(self.weights[block], np.float64)
            wrong = np.flatnonzero(~((values > 0) & np.isfinite(values)))
            if len(wrong):
                number = block.start + wrong[0]
                raise UserError(
                    f"pair {number + 1}: weight {self.weights[number]}: expected a finite number above 0; leave the "
                    "pair out"
                )

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.sources)

    def __iter__(self) -> Iterator[Pair]:
        """One pair after the other."""
        weights = repeat(None) if self.weights is None else self.weights
        return starmap(Pair, zip(self.sources, self.targets, weights, strict=False))

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> "Pairs":
        """Takes pairs into memory; if they are `Pairs`, these are returned.

        Where some have a weight, the others count 1. Where none has one, there are no weights.

        Raises:
            UserError: a weight is not a positive, finite number.
        """
        if isinstance(pairs, Pairs):
            return pairs
        sources, targets, weights = [], [], []
        for source, target, weight in pairs:
            sources.append(source)
            targets.append(target)
            weights.append(weight)
        if all(weight is None for weight in weights):
            return cls(sources, targets)
        return cls(sources, targets, [1.0 if weight is None else weight for weight in weights])

    def pairs(self) -> "Pairs":
        """Itself: pairs in memory are a `Block`."""
        return self

    @property
    def has_features(self) -> bool:
        """Whether the sources are features instead of texts."""
        return len(self.sources) > 0 and isinstance(self.sources[0], np.ndarray)

    def take(self, rows: Iterable[int]) -> "Pairs":
        """Returns the pairs at `rows`, in that order."""
        rows = list(rows)
        weights = None if self.weights is None else [self.weights[row] for row in rows]
        return Pairs([self.sources[row] for row in rows], [self.targets[row] for row in rows], weights)


def join(corpora: Sequence[Pairs]) -> Pairs:
    """Returns the pairs of several corpora, one corpus after the other.

    Where one has weights, the pairs of the others count 1.

    Raises:
        UserError: some have texts as sources and others features.
    """
    if len(corpora) == 1:
        return corpora[0]
    if len({pairs.has_features for pairs in corpora}) > 1:
        raise UserError("corpora of text and of speech do not go together; train on one kind")
    weights = None
    if any(pairs.weights is not None for pairs in corpora):
        weights = [
            w for pairs in corpora for w in (repeat(1.0, len(pairs)) if pairs.weights is None else pairs.weights)
        ]
    return Pairs(
        [source for pairs in corpora for source in pairs.sources],
        [target for pairs in corpora for target in pairs.targets],
        weights,
    )
