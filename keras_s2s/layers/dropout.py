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
        random_bytes = ops.view(_random_words((size + 3) // 4, self.seed_generator), "uint8")
        kept = ops.reshape(ops.reshape(random_bytes, (-1,))[:size] >= self.dropped, ops.shape(x))
        # One product forwards and one backwards; a choice between x and 0 takes longer.
        return x * (ops.cast(kept, x.dtype) * (256 / (256 - self.dropped)))


def _random_words(count: Tensor, seeds: keras.random.SeedGenerator) -> Tensor:
    """Random bits (count, 1) uint32: places in a sequence, scattered by MurmurHash3's last steps (Appleby 2011).

    Two random words make each call's own sequence: where it begins, and what is mixed in half-way, so that calls whose
    beginnings are near differ too. TensorFlow's own generator, Philox, takes three times as long.
    """
    drawn = ops.view(keras.random.randint((2,), -(2**31), 2**31 - 1, "int32", seeds), "uint32")
    words = ops.cast(ops.arange(count), "uint32")[:, None] * _uint32(0x9E3779B9) + drawn[0]
    words = _folded(words, 16) * _uint32(0x85EBCA6B)
    words = ops.bitwise_xor(_folded(words, 13), drawn[1]) * _uint32(0xC2B2AE35)
    return _folded(words, 16)


def _folded(words: Tensor, bits: int) -> Tensor:
    return ops.bitwise_xor(words, ops.right_shift(words, _uint32(bits)))


def _uint32(value: int) -> Tensor:
    return ops.convert_to_tensor(value, "uint32")
