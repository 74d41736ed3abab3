"""Pairs of dev or test data that a model has seen in training."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from keras_s2s.data.pairs import Pairs


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


def overlap(train: Pairs, held_out: Pairs) -> Overlap | None:
    """Compares sources and targets as they stand, spaces at either end apart; None if no source is in both."""
    of_held_out = list(_keys(held_out))
    wanted, seen = set(of_held_out), dict[Any, set[str]]()
    for key, target in zip(_keys(train), train.targets, strict=True):
        if key in wanted:
            seen.setdefault(key, set()).add(target.strip())
    found = [row for row, key in enumerate(of_held_out) if key in seen]
    if not found:
        return None
    pairs = sum(held_out.targets[row].strip() in seen[of_held_out[row]] for row in found)
    return Overlap(len(found), pairs, found[0] + 1)


def _keys(pairs: Pairs) -> Iterator[Any]:
    """The source of each pair or, if that is empty, as a language model's are, its target."""
    if pairs.has_features:
        return (source.tobytes() for source in pairs.sources)
    return (source.strip() or target.strip() for source, target in zip(pairs.sources, pairs.targets, strict=True))
