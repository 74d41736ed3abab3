"""Keras layers over the fused operators: products, look-up and normalisation."""

from typing import Any

import keras

from keras_s2s.layers import fused
from keras_s2s.typing import Tensor


class Linear(keras.layers.Layer):
    """y = activation(x W + b): (..., I) -> (..., O).

    Args:
        units: O.
        activation: "relu", "tanh", "gelu", "silu" or None.
        use_bias: whether b is there.
    """

    def __init__(
        self, units: int, activation: fused.Activation | None = None, use_bias: bool = True, **options: Any
    ) -> None:
        super().__init__(**options)
        self.units, self.activation, self.use_bias = units, activation, use_bias

    def build(self, input_shape: tuple) -> None:
        """Makes W and b for inputs of `input_shape`."""
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias") if self.use_bias else None

    def call(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        return fused.linear(x, self.kernel, self.bias, self.activation)


class Embedding(keras.layers.Layer):
    """A table of token vectors: ids (...) -> (..., D), drawn from N(0, 1/D).

    Args:
        vocabulary: V.
        width: D.
    """

    def __init__(self, vocabulary: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.vocabulary, self.width = vocabulary, width

    def build(self, input_shape: tuple) -> None:
        """Makes the table, whatever the shape of the ids."""
        initializer = keras.initializers.RandomNormal(stddev=self.width**-0.5)
        self.table = self.add_weight(shape=(self.vocabulary, self.width), initializer=initializer, name="table")

    def call(self, ids: Tensor) -> Tensor:
        """(...) -> (..., D)."""
        return fused.embedding(ids, self.table)


class LayerNorm(keras.layers.Layer):
    """Layer normalisation over the last axis, with scale and offset (Ba et al. 2016): (..., D) -> (..., D)."""

    epsilon = 1e-5

    def build(self, input_shape: tuple) -> None:
        """Makes the scale and the offset."""
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="offset")

    def call(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return fused.layer_norm(x, self.scale, self.offset, self.epsilon)


class RMSNorm(keras.layers.Layer):
    """Normalisation by the root mean square of the last axis (Zhang and Sennrich 2019): (..., D) -> (..., D)."""

    epsilon = 1e-5

    def build(self, input_shape: tuple) -> None:
        """Makes the scale."""
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return fused.rms_norm(x, self.scale, self.epsilon)
