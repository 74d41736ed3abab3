"""Greedy search."""

from dataclasses import dataclass

from keras import ops

from keras_s2s.decoding.rows import IndependentRows
from keras_s2s.decoding.search import NextScores, Search
from keras_s2s.layers.fused import top_k
from keras_s2s.typing import Tensor


@dataclass(frozen=True)
class Greedy(IndependentRows):
    """Takes the best token of each step. One hypothesis a sentence, so R = B and `n_best` is 1.

    Args:
        scores: whether log-probabilities are computed, which takes a pass over the vocabulary at each step; without
            them all are 0, and the tokens are the same. It may be a scalar tensor.
    """

    scores: bool | Tensor = True

    def pick(self, search: Search, following: NextScores) -> Tensor:
        """The best token."""
        return ops.squeeze(top_k(following.scores, 1)[1], axis=1)

    def gain(self, following: NextScores, token: Tensor, at_limit: Tensor) -> Tensor:
        """The log-probability of each token, or 0."""
        following = following._replace(log_normalizer=following.log_normalizer_if(self.scores))
        return ops.where(self.scores, super().gain(following, token, at_limit), 0.0)
