"""Rows of a large array that have the same key, found in little memory."""

from collections.abc import Iterator

import numpy as np

_AT_ONCE = 1 << 18  # rows
_PREFIXES = 256


def equal_keys(keys: np.ndarray, among: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sorts rows by their keys, those that share the first bits at a time.

    Args:
        keys: (N, K) uint64, which may be the map of a file. The first of each row is a hash: its values are spread
            evenly.
        among: (N,) bool, the rows to look at; None is all.

    Yields:
        rows: (M,) int64; rows with equal keys stand beside each other, in their order.
        begins: (M,) bool, whether a row is the first one with its key.
    """
    prefixes = _prefixes(keys[:, 0])
    per_part = max(1, _AT_ONCE * _PREFIXES // max(1, len(keys)))
    for first in range(0, _PREFIXES, per_part):
        wanted = (prefixes >= first) & (prefixes < first + per_part)
        rows = np.flatnonzero(wanted if among is None else wanted & among)
        some = keys[rows]
        order = np.lexsort(some.T[::-1])
        some = some[order]
        begins = np.ones(len(rows), bool)
        begins[1:] = (some[1:] != some[:-1]).any(axis=1)
        yield rows[order], begins


def _prefixes(hashes: np.ndarray) -> np.ndarray:
    prefixes = np.empty(len(hashes), np.uint8)
    for begin in range(0, len(hashes), _AT_ONCE):
        prefixes[begin : begin + _AT_ONCE] = hashes[begin : begin + _AT_ONCE] >> np.uint64(56)
    return prefixes
