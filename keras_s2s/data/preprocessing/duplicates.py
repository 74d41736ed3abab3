"""Pairs that were there before."""

import hashlib
from typing import Literal

import numpy as np

from keras_s2s.data.pairs import Pairs
from keras_s2s.data.preprocessing import PIECES, WholeCorpusPiece
from keras_s2s.data.preprocessing.equal_keys import equal_keys


@PIECES.register
class Duplicates(WholeCorpusPiece):
    """Leaves out pairs that were there before, both sides the same.

    Pairs are compared by 128 bits of a hash: among a hundred million pairs, two different ones would be taken for the
    same with a chance of 1 to 10^22.

    Args:
        kind: its name.
    """

    kind: Literal["duplicates"] = "duplicates"

    @property
    def reason(self) -> str:
        """The same of every pair."""
        return "the same pair before"

    def signatures(self, pairs: Pairs) -> np.ndarray:
        """Hashes of both sides together: (N, 2) uint64."""
        digests = [
            hashlib.blake2b(f"{len(source)} {source}{target}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
            for source, target in zip(pairs.sources, pairs.targets, strict=True)
        ]
        return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)

    def kept(self, signatures: np.ndarray) -> np.ndarray:
        """Keeps the first of each."""
        kept = np.ones(len(signatures), bool)
        for rows, begins in equal_keys(signatures):
            kept[rows[~begins]] = False
        return kept
