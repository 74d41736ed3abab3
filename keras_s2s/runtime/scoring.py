"""What a model says of given targets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scored:
    """A target under the model.

    Attributes:
        log_probability: of the whole target, EOS included.
        token_scores: the log-probabilities of its tokens, and of EOS.
    """

    log_probability: float
    token_scores: tuple[float, ...]

    @property
    def perplexity(self) -> float:
        """exp(-log-probability / tokens), EOS counted."""
        return math.exp(-self.log_probability / len(self.token_scores))


def perplexity(scored: Sequence[Scored]) -> float:
    """exp(-sum of log-probabilities / sum of tokens), EOS counted, of a corpus."""
    tokens = sum(len(one.token_scores) for one in scored)
    return math.exp(-sum(one.log_probability for one in scored) / tokens)
