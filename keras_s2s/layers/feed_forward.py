"""The position-wise part of a Transformer block."""

from typing import Any

import keras

from keras_s2s.layers.core import Linear
from keras_s2s.layers.fused import Tensor


class FeedForward(keras.layers.Layer):
    """relu(x W1 + b1) W2 + b2 (Vaswani et al. 2017, section 3.3): (..., D) -> (..., D).

    Args:
        width: D.
        hidden: size of the inner product.
        dropout: rate after the ReLU.
    """

    def __init__(self, width: int, hidden: int, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self.up = Linear(hidden, "relu", name="up")
        self.dropout = keras.layers.Dropout(dropout)
        self.down = Linear(width, name="down")

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.down(self.dropout(self.up(x), training=training))
