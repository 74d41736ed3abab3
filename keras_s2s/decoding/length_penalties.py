"""Length penalties: they divide a log-probability, so that hypotheses of different lengths can be compared."""

from dataclasses import dataclass
from typing import Protocol

from keras import ops

from keras_s2s.typing import Tensor


class LengthNormalization(Protocol):
    """A formula for the divisor of a log-probability. A frozen dataclass of its options, which may be scalar tensors.

    The divisor must be positive, and grow or shrink with the length throughout: an exhaustive beam takes it that no
    length between two has a larger divisor than both.
    """

    def divisor(self, length: Tensor) -> Tensor:
        """The divisor of a log-probability of `length` (...) tokens, EOS counted: (...) float32."""


@dataclass(frozen=True)
class LengthPenalty:
    """Divides a log-probability by ((base + n) / (base + 1)) ** exponent, n the tokens with EOS.

    Base 5 is the penalty of Wu et al. 2016 (GNMT, equation 14); base 0 with exponent 1 is the average over tokens;
    exponent 0 is none. Both may be scalar tensors.
    """

    exponent: float | Tensor = 1.0
    base: float | Tensor = 0.0

    def __call__(self, log_probability: Tensor, length: Tensor) -> Tensor:
        """Normalised scores, of the shape of both arguments broadcast."""
        return log_probability / self.divisor(length)

    def divisor(self, length: Tensor) -> Tensor:
        """See `LengthNormalization`."""
        n = ops.cast(length, "float32")
        return ops.power((self.base + n) / (self.base + 1.0), self.exponent)
