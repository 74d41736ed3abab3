"""What stands on a decoder's outputs."""

from typing import Any

import keras

from keras_s2s.layers import Embedding, fused
from keras_s2s.layers.fused import Tensor


class TokenHead(keras.layers.Layer):
    """Scores of the next token: hidden (R, T, D) -> logits (R, T, V).

    Args:
        vocabulary: V.
        tied: an embedding whose table is the product's matrix (Press and Wolf 2017), or None.
    """

    def __init__(self, vocabulary: int, tied: Embedding | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.vocabulary, self.tied = vocabulary, tied

    def build(self, input_shape: tuple) -> None:
        """Makes the matrix, unless it is tied, and the offset."""
        if self.tied is None:
            shape = (input_shape[-1], self.vocabulary)
            self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.vocabulary,), initializer="zeros", name="bias")

    def call(self, hidden: Tensor) -> Tensor:
        """(R, T, D) -> (R, T, V)."""
        if self.tied is None:
            return fused.linear(hidden, self.kernel, self.bias)
        return fused.linear(hidden, self.tied.table, self.bias, transposed=True)
