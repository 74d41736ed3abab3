"""Rows that have a key in common, in temporary files instead of dicts."""

from collections.abc import Iterator

import numpy as np

from keras_s2s.data.preprocessing.equal_keys import equal_keys
from keras_s2s.data.preprocessing.scratch import Scratch, zeros

_AT_ONCE = 1 << 18  # rows


class Buckets:
    """A bucket for each value of each key that several rows have. It holds the rows that were added so far.

    A row takes one byte of memory, and eight in temporary files, with another 8 for each of its buckets and 16 for each
    bucket.

    Args:
        keys: (K, N) uint64, hashes: their values are spread evenly. K is at most 255.
        among: (N,) bool, the rows to look at.
    """

    def __init__(self, keys: np.ndarray, among: np.ndarray) -> None:
        members, sizes = Scratch(np.uint32), Scratch(np.uint32)
        self._counts = np.zeros(len(among), np.uint8)
        parts = []
        for key in keys:
            for rows, of_each in _shared(key, among):
                self._counts[rows] += 1
                members.append(rows)
                sizes.append(of_each)
                parts.append((len(rows), len(of_each)))
        # Bucket i has places for its members at `begins[i]`, of which `filled[i]` are taken.
        self._members = members.mapped()
        self._begins = zeros((sum(buckets for _, buckets in parts),), np.int64)
        self._filled = zeros(self._begins.shape, np.uint32)
        # Row i is in the buckets that stand at the last `counts[i]` places before `ends[i]`.
        self._ends = _begins_of(self._counts)
        self._of_rows = zeros(self._members.shape, np.uint32)
        self._place(parts, sizes.mapped())

    def rows(self) -> Iterator[int]:
        """All rows that have a bucket, in order."""
        for begin in range(0, len(self._counts), _AT_ONCE):
            yield from (begin + np.flatnonzero(self._counts[begin : begin + _AT_ONCE])).tolist()

    def beside(self, row: int) -> np.ndarray:
        """The rows that are in one of the buckets of a row: (M,), in no order, each once."""
        of_row = self._of(row)
        filled, begins = self._filled[of_row], self._begins[of_row]
        taken = [
            self._members[begin : begin + count]
            for begin, count in zip(begins.tolist(), filled.tolist(), strict=True)
            if count
        ]
        if len(taken) > 1:
            return np.unique(np.concatenate(taken))
        return taken[0] if taken else np.zeros(0, np.uint32)

    def add(self, row: int) -> None:
        """Puts a row into its buckets, once."""
        of_row = self._of(row)
        self._members[self._begins[of_row] + self._filled[of_row]] = row
        self._filled[of_row] += 1

    def _of(self, row: int) -> np.ndarray:
        end = self._ends[row]
        return self._of_rows[end - self._counts[row] : end]

    def _place(self, parts: list[tuple[int, int]], sizes: np.ndarray) -> None:
        """Notes where each bucket is, and which those of each row are. No row is twice in a part."""
        member = bucket = 0
        for members, buckets in parts:
            rows, of_each = self._members[member : member + members], sizes[bucket : bucket + buckets].astype(np.int64)
            self._begins[bucket : bucket + buckets] = member + np.cumsum(of_each) - of_each
            self._of_rows[self._ends[rows]] = np.repeat(np.arange(bucket, bucket + buckets), of_each)
            self._ends[rows] += 1
            member, bucket = member + members, bucket + buckets


def _shared(key: np.ndarray, among: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows whose key others have, those of each value beside each other, and how many there are of each value."""
    for rows, begins in equal_keys(key[:, None], among):
        sizes = np.diff(np.flatnonzero(begins), append=len(rows))
        yield rows[np.repeat(sizes > 1, sizes)], sizes[sizes > 1]


def _begins_of(counts: np.ndarray) -> np.ndarray:
    """The sum of all counts before each: (N,) int64, in a temporary file."""
    begins, total = zeros(counts.shape, np.int64), 0
    for begin in range(0, len(counts), _AT_ONCE):
        some = counts[begin : begin + _AT_ONCE].astype(np.int64)
        begins[begin : begin + _AT_ONCE] = total + np.cumsum(some) - some
        total += some.sum()
    return begins
