"""The target ids that a batch may need."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_s2s.errors import UserError
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.special_ids import UNKNOWN


class ShortlistTable:
    """What each source id may become.

    Args:
        candidates: (V, k) int32, target ids for each source id, padded with 0.
        always: (F,) int32, ids that are never missing.
    """

    def __init__(self, candidates: np.ndarray, always: np.ndarray) -> None:
        self._candidates = candidates
        self._always = np.union1d(np.arange(UNKNOWN + 1), always).astype("int32")

    @classmethod
    def load(cls, path: Path) -> "ShortlistTable":
        """Reads the table of a bundle.

        Raises:
            UserError: the file is no such table.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(arrays["candidates"].astype("int32"), arrays["always"].astype("int32"))
        except (KeyError, ValueError, OSError, EOFError):
            raise UserError(f"{path}: not a shortlist; export the bundle again") from None

    def of(self, sentences: Sequence[Sentence]) -> np.ndarray:
        """The ids that the sources and the prefixes of a batch need: (C,) int32, sorted, 0 to 3 first."""
        sources = np.unique([id for sentence in sentences for id in sentence.ids]).astype("int64")
        prefixes = np.array([id for sentence in sentences for id in sentence.prefix], "int32")
        needed = [self._always, self._candidates[sources].ravel(), prefixes]
        return np.unique(np.concatenate(needed)).astype("int32")
