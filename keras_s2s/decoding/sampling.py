"""Sampling."""

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_s2s.decoding.rows import IndependentRows
from keras_s2s.decoding.search import NextScores, Search
from keras_s2s.typing import Tensor


@dataclass(frozen=True)
class Sampling(IndependentRows):
    """Draws each token from the model's distribution, sharpened and cut, by inversion of its cumulative sums.

    The tokens are ordered from the most to the least likely; the first is taken at which the sum of probabilities
    passes the uniform number. Given the same numbers all forms of a model draw the same. The options apply in the
    order in which they stand here. Scores are those of the model's own distribution.

    Args:
        temperature: above 0; scores are divided by it.
        top_k: only the k most likely tokens (Fan et al. 2018); 0 is all.
        top_p: only the most likely tokens that together reach this probability (Holtzman et al. 2020); 1 is all.
        min_p: only tokens at least this likely, as a share of the most likely one (Nguyen et al. 2024); 0 is all.
        uniforms: of each source, (B, N, L) float32, from 0 to below 1, L at least the longest limit.
    """

    temperature: float | Tensor = 1.0
    top_k: int | Tensor = 0
    top_p: float | Tensor = 1.0
    min_p: float | Tensor = 0.0
    uniforms: Any = None

    def pick(self, search: Search, following: NextScores) -> Tensor:
        """The token drawn."""
        vocabulary = ops.shape(following.scores)[1]
        scores, tokens = ops.top_k(following.scores / self.temperature, vocabulary)  # (R, V), best first
        kept = ops.cast(self._kept(scores), "float32")
        weights = ops.exp(scores - scores[:, :1]) * kept
        sums = ops.cumsum(weights, axis=1)
        passed = self._uniform(search)[:, None] * sums[:, -1:] >= sums
        rank = ops.sum(ops.cast(passed, "int32"), axis=1)
        # Rounding must not lead behind the last token that is kept.
        rank = ops.minimum(rank, ops.cast(ops.sum(kept, axis=1), "int32") - 1)
        is_rank = ops.equal(ops.arange(vocabulary)[None, :], rank[:, None])
        return ops.sum(ops.where(is_rank, ops.cast(tokens, "int32"), 0), axis=1)

    def _kept(self, scores: Tensor) -> Tensor:
        """Which of the tokens may be drawn, of scores (R, V), best first. They come first."""
        rank = ops.arange(ops.shape(scores)[1])[None, :]
        most = ops.where(self.top_k > 0, self.top_k, ops.shape(scores)[1])
        ratios = ops.exp(scores - scores[:, :1])
        kept = ops.logical_and(rank < most, scores > -float("inf"))
        among = ratios * ops.cast(kept, "float32")
        before = ops.cumsum(among, axis=1) - among
        in_nucleus = before < self.top_p * ops.sum(among, axis=1, keepdims=True)
        kept = ops.logical_and(kept, ops.logical_and(in_nucleus, ratios >= self.min_p))
        return ops.logical_or(kept, rank == 0)

    def _uniform(self, search: Search) -> Tensor:
        """The number of each row for this token: (R,)."""
        numbers = ops.take(self.uniforms, search.sentence, axis=0)
        place = ops.equal(ops.arange(ops.shape(numbers)[2])[None, None, :], search.length[:, None, None])
        return ops.reshape(ops.sum(ops.where(place, numbers, 0.0), axis=2), (-1,))
