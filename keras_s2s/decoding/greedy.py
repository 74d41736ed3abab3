"""Greedy search."""

from dataclasses import dataclass

from keras import ops

from keras_s2s.decoding.rows import IndependentRows
from keras_s2s.decoding.search import NextScores, Search
from keras_s2s.layers.fused import top_k
from keras_s2s.typing import Tensor


@dataclass(frozen=True)
class Greedy(IndependentRows):
    """Takes the best token of each step. One hypothesis a sentence, so R = B and `n_best` is 1."""

    def pick(self, search: Search, following: NextScores) -> Tensor:
        """The best token."""
        return ops.squeeze(top_k(following.scores, 1)[1], axis=1)
