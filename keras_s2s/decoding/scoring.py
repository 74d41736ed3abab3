"""How finished hypotheses are ranked."""

from dataclasses import dataclass
from typing import Any

from keras import ops

Tensor = Any


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
        n = ops.cast(length, "float32")
        return log_probability / ops.power((self.base + n) / (self.base + 1.0), self.exponent)
