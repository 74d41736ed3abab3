"""Pairs that are nearly one that was there before."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from keras_s2s.data.pairs import Pairs
from keras_s2s.data.preprocessing import PIECES, WholeCorpusPiece
from keras_s2s.data.preprocessing.buckets import Buckets
from keras_s2s.data.preprocessing.equal_keys import equal_keys
from keras_s2s.data.preprocessing.scratch import zeros

_SHINGLE = 5  # characters
_HASHES = 128
_AT_ONCE = 1 << 14  # rows of signatures: 8 MB


@PIECES.register
class NearDuplicates(WholeCorpusPiece):
    """Leaves out pairs that are nearly one that was there before, by MinHash (Broder 1997) and its hashing into bands.

    A pair is the set of its sequences of 5 characters, source and target apart, lower-cased, white space as one space.
    Two pairs are near if the Jaccard similarity of their sets is about `similarity` or more: it is estimated with 128
    hash functions, and pairs near that limit may be taken for either.

    Args:
        kind: its name.
        similarity: 1 would be the same set.
    """

    kind: Literal["near_duplicates"] = "near_duplicates"
    similarity: Annotated[float, Field(gt=0, le=0.993)] = 0.8

    @property
    def reason(self) -> str:
        """The same of every pair."""
        return f"about {self.similarity:.0%} the same as a pair before"

    def signatures(self, pairs: Pairs) -> np.ndarray:
        """The least value of each hash function: (N, 128) uint32."""
        from datasketch import MinHash

        of_source, of_target = _Hashes("s"), _Hashes("t")
        minhash = MinHash(num_perm=_HASHES, hashfunc=int)
        found = np.empty((len(pairs), _HASHES), np.uint32)
        for row, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
            minhash.clear()
            hashes = [of_source[shingle] for shingle in _shingles(source)]
            hashes += [of_target[shingle] for shingle in _shingles(target)]
            minhash.update_batch(hashes)
            found[row] = minhash.hashvalues
        return found

    def kept(self, signatures: np.ndarray) -> np.ndarray:
        """Keeps a pair unless it is near to one that was kept before and has a band in common with it."""
        from datasketch import MinHashLSH

        # The bands shall miss few: what they find too much, the estimate sorts out.
        bands = MinHashLSH(threshold=self.similarity, num_perm=_HASHES, weights=(0.1, 0.9)).hashranges
        signatures = np.asarray(signatures)
        keys = _keys(signatures, [(0, _HASHES), *bands])
        kept = _first_of_equals(signatures, keys[0])
        buckets = Buckets(keys[1:], kept)
        for row in buckets.rows():
            if self._is_near(signatures, row, buckets.beside(row)):
                kept[row] = False
            else:
                buckets.add(row)
        return kept

    def _is_near(self, signatures: np.ndarray, row: int, others: np.ndarray) -> bool:
        least = self.similarity * _HASHES
        return any(
            (signatures[others[begin : begin + _AT_ONCE]] == signatures[row]).sum(axis=1).max() >= least
            for begin in range(0, len(others), _AT_ONCE)
        )


class _Hashes(dict[str, int]):
    """Hashes of the sequences of one side."""

    def __init__(self, side: str) -> None:
        super().__init__()
        self._side = side

    def __missing__(self, shingle: str) -> int:
        content = f"{self._side}{shingle}".encode("utf-8", "surrogatepass")
        self[shingle] = found = int.from_bytes(hashlib.blake2b(content, digest_size=4).digest(), "little")
        return found


def _shingles(text: str) -> set[str]:
    clean = " ".join(text.lower().split())
    return {clean[begin : begin + _SHINGLE] for begin in range(max(1, len(clean) - _SHINGLE + 1))}


def _keys(signatures: np.ndarray, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
    """Hashes of some columns of each signature, for each range of columns: (R, N) uint64, in a temporary file."""
    factors = np.random.default_rng(1).integers(1 << 64, size=_HASHES, dtype=np.uint64) | np.uint64(1)
    keys = zeros((len(ranges), len(signatures)), np.uint64)
    for begin in range(0, len(signatures), _AT_ONCE):
        products = signatures[begin : begin + _AT_ONCE] * factors
        for key, (first, end) in zip(keys, ranges, strict=True):
            sums = products[:, first:end].sum(axis=1)
            # The upper half depends on all bits after this.
            key[begin : begin + _AT_ONCE] = (sums ^ (sums >> np.uint64(32))) * factors[0]
    return keys


def _first_of_equals(signatures: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Whether no row before has the same signature: (N,) bool."""
    is_first = np.ones(len(signatures), bool)
    for rows, begins in equal_keys(hashes[:, None]):
        firsts = rows[np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))]
        again = np.flatnonzero(~begins)
        for begin in range(0, len(again), _AT_ONCE):
            some = again[begin : begin + _AT_ONCE]
            is_first[rows[some]] = (signatures[rows[some]] != signatures[firsts[some]]).any(axis=1)
    return is_first
