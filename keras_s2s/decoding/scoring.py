"""Scorers: they rank finished hypotheses."""

from dataclasses import dataclass

from keras import ops

from keras_s2s.decoding.length_penalties import LengthNormalization, LengthPenalty
from keras_s2s.typing import Tensor


@dataclass(frozen=True)
class Scorer:
    """The score of a hypothesis of n tokens, EOS counted.

    `log p / length penalty + reward · n + coverage · sum_s log min(a_s, 1)`, where a_s is the attention that source
    place s has got in all steps together (Wu et al. 2016, equation 14). All may be scalar tensors.

    Args:
        length: the length penalty.
        reward: added for each token (He et al. 2016).
        coverage: at least 0; needs a `Coverage` step.
    """

    length: LengthNormalization = LengthPenalty()
    reward: float | Tensor = 0.0
    coverage: float | Tensor = 0.0

    def __call__(self, log_probability: Tensor, length: Tensor, covered: Tensor | None = None) -> Tensor:
        """Scores.

        Args:
            log_probability: (...).
            length: (...), tokens with EOS.
            covered: (..., S), summed attention, 1 at padding.

        Returns:
            (...).
        """
        score = log_probability / self.length.divisor(length) + self.reward * ops.cast(length, "float32")
        if covered is None:
            return score
        # Attention of exactly zero would make a hypothesis impossible.
        logarithm = ops.log(ops.clip(covered, 1e-9, 1.0))
        return score + self.coverage * ops.sum(logarithm, axis=-1)

    def bound(self, log_probability: Tensor, length: Tensor, limit: Tensor) -> Tensor:
        """The highest score that a hypothesis can still reach.

        Args:
            log_probability: (...), so far; more tokens only lower it.
            length: (...), tokens so far.
            limit: (...), the most tokens before EOS, not fewer than `length`.
        """
        soonest, latest = length + 1, limit + 1
        divisor = ops.maximum(self.length.divisor(soonest), self.length.divisor(latest))
        rewards = [self.reward * ops.cast(n, "float32") for n in (soonest, latest)]
        return log_probability / divisor + ops.maximum(*rewards)
