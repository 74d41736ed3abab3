"""Strided convolutions in front of an encoder of features."""

from typing import Any

import keras
from keras import ops

from keras_s2s.typing import Tensor


class Convolution(keras.layers.Layer):
    """Convolutions along time with ReLU, each of which shortens a sequence of n frames to ceil(n / stride).

    Padded frames are zero before each one, so a sequence's result does not depend on its padding.

    Args:
        width: D, channels of each convolution.
        layers: how many.
        kernel: frames that each looks at, centred.
        stride: of each.
    """

    def __init__(self, width: int, layers: int, kernel: int, stride: int, **options: Any) -> None:
        super().__init__(**options)
        self.kernel, self.stride = kernel, stride
        self.convolutions = [
            keras.layers.Conv1D(width, kernel, stride, activation="relu", name=f"convolution_{i}")
            for i in range(layers)
        ]

    def call(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, S, F), frames of each (B,) -> x (B, S', D), mask (B, S')."""
        lengths = ops.cast(lengths, "int32")
        x, mask = features, _mask(features, lengths)
        left = (self.kernel - 1) // 2
        for convolution in self.convolutions:
            # Enough on the right for ceil(S / stride) outputs, whatever S is.
            x = ops.pad(ops.where(mask[:, :, None], x, 0.0), ((0, 0), (left, self.kernel + self.stride), (0, 0)))
            lengths = (lengths + self.stride - 1) // self.stride
            longest = (ops.shape(mask)[1] + self.stride - 1) // self.stride
            x = convolution(x)[:, :longest]
            mask = _mask(x, lengths)
        return ops.where(mask[:, :, None], x, 0.0), mask


def _mask(x: Tensor, lengths: Tensor) -> Tensor:
    """Which frames of x (B, S, F) are real: (B, S)."""
    return ops.arange(ops.shape(x)[1])[None, :] < lengths[:, None]
