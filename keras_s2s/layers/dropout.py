"""Dropout that is sparing with random numbers."""

from typing import Any

import keras
from keras import ops

from keras_s2s.typing import Tensor


class Dropout(keras.layers.Layer):
    """Sets elements to 0 with a probability, and scales the others so that the mean stays (Srivastava et al. 2014).

    A random byte decides about an element, for random numbers are the dearest part of dropout on a CPU; so the
    probability is the rate's nearest multiple of 1/256, and the scale is exact for that.

    Args:
        rate: from 0 to below 1.
    """

    def __init__(self, rate: float, **options: Any) -> None:
        super().__init__(**options)
        self.rate, self.dropped = rate, min(round(rate * 256), 255)
        self.supports_masking = True
        if self.dropped:
            self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Any shape, kept."""
        if not training or not self.dropped:
            return x
        size = ops.prod(ops.convert_to_tensor(ops.shape(x)))
        words = keras.random.randint(((size + 255) // 256, 64), -(2**31), 2**31 - 1, "int32", self.seed_generator)
        random_bytes = ops.reshape(ops.view(words, "uint8"), (-1,))[:size]
        kept = ops.reshape(random_bytes >= self.dropped, ops.shape(x))
        # One product forwards and one backwards; a choice between x and 0 takes longer.
        return x * (ops.cast(kept, x.dtype) * (256 / (256 - self.dropped)))
