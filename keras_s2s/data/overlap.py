"""Pairs of dev or test data that a model has seen in training."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from keras_s2s.data.pairs import Pairs

Seen = Mapping[Any, set[str]]
"""The targets that held-out sources have in training data."""


class Overlap(NamedTuple):
    """Held-out pairs whose source is in the training data.

    Attributes:
        sources: how many there are.
        pairs: how many of these have the same target there, too.
        first: the number of the first one, from 1.
    """

    sources: int
    pairs: int
    first: int


class HeldOut:
    """Held-out pairs that are looked for in training data, as they stand, spaces at either end apart."""

    def __init__(self, pairs: Pairs) -> None:
        """Takes the pairs."""
        self._keys = list(_keys(pairs))
        self._targets = [target.strip() for target in pairs.targets]
        self._wanted = set(self._keys)

    def seen_in(self, train: Pairs) -> Seen:
        """What is found in some training pairs."""
        seen = dict[Any, set[str]]()
        for key, target in zip(_keys(train), train.targets, strict=True):
            if key in self._wanted:
                seen.setdefault(key, set()).add(target.strip())
        return seen

    def overlap(self, seen: Seen) -> Overlap | None:
        """Counts what was found in all training pairs; None if no source is in both."""
        found = [row for row, key in enumerate(self._keys) if key in seen]
        if not found:
            return None
        pairs = sum(self._targets[row] in seen[self._keys[row]] for row in found)
        return Overlap(len(found), pairs, found[0] + 1)


def _keys(pairs: Pairs) -> Iterator[Any]:
    """The source of each pair or, if that is empty, as a language model's are, its target."""
    if pairs.has_features:
        return (source.tobytes() for source in pairs.sources)
    return (source.strip() or target.strip() for source, target in zip(pairs.sources, pairs.targets, strict=True))
