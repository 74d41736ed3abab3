"""Lines in buckets of similar length."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MOST, _FEWEST = 5, 10


@dataclass(frozen=True)
class Bucket:
    """Some lines.

    Attributes:
        shortest: the least length.
        longest: the greatest length.
        lines: their indices, in order.
    """

    shortest: int
    longest: int
    lines: tuple[int, ...]


def length_buckets(lengths: Sequence[int]) -> list[Bucket]:
    """Puts lines into up to five buckets of about as many lines, by quantiles; equal lengths stay together.

    No bucket has fewer than ten lines, unless there are no more, so that there are fewer buckets of a small corpus.

    Args:
        lengths: of each line.

    Returns:
        From the shortest to the longest; none are empty.
    """
    values, counts = np.unique(np.asarray(lengths), return_counts=True)
    wanted = max(1, min(_MOST, len(lengths) // _FEWEST))
    buckets: list[list[int]] = [[]]
    filled, done = 0, 0
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        buckets[-1].append(value)
        filled += count
        left = len(lengths) - done - filled
        if filled >= (len(lengths) - done) / (wanted - len(buckets) + 1) and left >= _FEWEST and len(buckets) < wanted:
            buckets.append([])
            filled, done = 0, done + filled
    return [_bucket(some, lengths) for some in buckets if some]


def _bucket(values: Sequence[int], lengths: Sequence[int]) -> Bucket:
    shortest, longest = values[0], values[-1]
    return Bucket(shortest, longest, tuple(i for i, length in enumerate(lengths) if shortest <= length <= longest))
