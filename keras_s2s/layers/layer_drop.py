"""Leaving out whole blocks in training."""

from typing import Any

import keras
from keras import ops

from keras_s2s.typing import Tensor


class LayerDrop(keras.layers.Layer):
    """In training gives, with a probability, what was there before a block, for the whole batch (Fan et al. 2020).

    Args:
        rate: the probability.
    """

    def __init__(self, rate: float, **options: Any) -> None:
        super().__init__(**options)
        self.rate = rate
        self.seed = keras.random.SeedGenerator()

    def call(self, before: Tensor, after: Tensor, training: bool | None = None) -> Tensor:
        """Two tensors of one shape -> one of them."""
        if not training or not self.rate:
            return after
        return ops.where(keras.random.uniform((), seed=self.seed) < self.rate, before, after)
