"""Texts to the padded id matrix that an encoder takes."""

from collections.abc import Sequence

import numpy as np

from keras_s2s.special_ids import EOS, PADDING
from keras_s2s.text.tokenizer import Tokenizer

# Attention kernels give a row the same result in any batch only if the padded length is a multiple of this.
_MULTIPLE = 4


def encode_sources(texts: Sequence[str], tokenizer: Tokenizer) -> np.ndarray:
    """Returns the source ids of `texts`: (N, S) int32, each row ended by EOS, then padded as by `pad`."""
    return pad([[*ids, EOS] for ids in tokenizer.encode(texts)])


def pad(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Makes one matrix of rows of ids.

    Returns:
        (N, S) int32, padded with 0, S the longest row rounded up to a multiple of 4; (0, 0) without rows.
    """
    longest = max(map(len, rows), default=0)
    matrix = np.full((len(rows), longest + -longest % _MULTIPLE), PADDING, np.int32)
    for padded, ids in zip(matrix, rows, strict=True):
        padded[: len(ids)] = ids
    return matrix
