"""Texts to the padded id matrix that an encoder takes."""

from collections.abc import Sequence

import numpy as np

from keras_s2s.text.tokenizer import EOS, PADDING, Tokenizer

# Attention kernels give a row the same result in any batch only if the padded length is a multiple of this.
SOURCE_MULTIPLE = 4


def encode_sources(texts: Sequence[str], tokenizer: Tokenizer) -> np.ndarray:
    """Returns the source ids of `texts`: (N, S) int32, each row ended by EOS, then padded.

    S is the longest row rounded up to a multiple of 4; without texts the result is (0, 0).
    """
    rows = [[*ids, EOS] for ids in tokenizer.encode(texts)]
    longest = max(map(len, rows), default=0)
    matrix = np.full((len(rows), longest + -longest % SOURCE_MULTIPLE), PADDING, np.int32)
    for row, ids in zip(matrix, rows, strict=True):
        row[: len(ids)] = ids
    return matrix
