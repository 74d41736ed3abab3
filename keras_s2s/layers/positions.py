"""Positions of tokens: as a vector, as a rotation, or as a bias of attention."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s2s.typing import Tensor

_BUCKETS, _FARTHEST = 32, 128
_VECTOR = 16  # numbers that a processor takes at once, at most


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Sines and cosines of geometric wavelengths (Vaswani et al. 2017, section 3.5), sines first.

    Args:
        positions: (N, T) whole numbers, from 0; no largest one.
        width: D, even.

    Returns:
        (N, T, D) float32.
    """
    sin_cos = _sin_cos(positions, np.arange(width // 2) / (width // 2 - 1))  # (N, T, D/2) each
    return ops.concatenate(sin_cos, axis=-1)


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Turns pairs of a head's axes by angles in proportion to the position (rotary embedding, Su et al. 2021).

    The product of two rotated vectors depends on the difference of their positions alone. Axis i is paired with
    axis i + d/2.

    Args:
        x: (N, H, T, d), d even.
        positions: (N, T) whole numbers, from 0.

    Returns:
        (N, H, T, d).
    """
    half = x.shape[-1] // 2
    sin, cos = (
        ops.cast(turn, x.dtype)[:, None] for turn in _sin_cos(positions, np.arange(half) / half)
    )  # (N, 1, T, d/2)
    first, second = x[..., :half], x[..., half:]
    return ops.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _sin_cos(positions: Tensor, exponents: np.ndarray) -> tuple[Tensor, Tensor]:
    """Sine and cosine of positions (N, T) / 10000 ** exponents: (N, T, number of exponents) each."""
    frequencies = np.exp(-np.log(10000.0) * exponents).astype("float32")
    # Each place fills whole vectors: at the end of all places, where one is not full, a kernel rounds another way.
    more = -len(exponents) % _VECTOR
    angles = ops.cast(positions, "float32")[:, :, None] * np.pad(frequencies, (0, more))
    sin, cos = ops.sin(angles), ops.cos(angles)
    return (sin[..., :-more], cos[..., :-more]) if more else (sin, cos)


class LearnedPositions(keras.layers.Layer):
    """A vector for each of the first L positions (Gehring et al. 2017); all later ones have that of the last.

    Args:
        longest: L.
        width: D.
    """

    def __init__(self, longest: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.longest, self.width = longest, width

    def build(self, input_shape: tuple) -> None:
        """Makes the table, whatever the shape of the positions."""
        initializer = keras.initializers.RandomNormal(stddev=self.width**-0.5)
        self.table = self.add_weight(shape=(self.longest, self.width), initializer=initializer, name="table")

    def call(self, positions: Tensor) -> Tensor:
        """(N, T) -> (N, T, D)."""
        return ops.take(self.table, ops.minimum(positions, self.longest - 1), axis=0)


class RelativeBias(keras.layers.Layer):
    """A learned number for each head and each bucket of distances (T5; Raffel et al. 2020, section 2.1).

    Near distances have a bucket each, farther ones share buckets of geometrically growing size, and all from 128 on
    the last one. Bidirectional ones use half the buckets each way; else what lies ahead counts as distance 0.

    Args:
        heads: H.
        bidirectional: for an encoder.
    """

    def __init__(self, heads: int, bidirectional: bool, **options: Any) -> None:
        super().__init__(**options)
        self.heads, self.bidirectional = heads, bidirectional

    def build(self, input_shape: tuple | None = None) -> None:
        """Makes the table."""
        initializer = keras.initializers.RandomNormal(stddev=0.1)
        self.table = self.add_weight(shape=(_BUCKETS, self.heads), initializer=initializer, name="table")

    def call(self, length: Tensor, past: Tensor) -> Tensor:
        """T new and P cached tokens -> (1, H, T, P+T), keys as `places_of_keys` has them."""
        near = ops.minimum(ops.maximum(_distances(length, past), -_FARTHEST), _FARTHEST)
        bucket = ops.take(_buckets(self.bidirectional), near + _FARTHEST, axis=0)
        return ops.transpose(ops.take(self.table, bucket, axis=0), (2, 0, 1))[None]


def _buckets(bidirectional: bool) -> np.ndarray:
    """The buckets of the distances from -128 to 128: looked up, since logarithms in a graph may round otherwise."""
    signed = np.arange(-_FARTHEST, _FARTHEST + 1)
    buckets = _BUCKETS // 2 if bidirectional else _BUCKETS
    first = np.where(signed < 0, buckets, 0) if bidirectional else 0
    distances = np.abs(signed) if bidirectional else np.maximum(signed, 0)
    exact = buckets // 2
    ratio = np.log(np.maximum(distances, 1) / exact) / np.log(_FARTHEST / exact)
    # A bucket may start at a whole number, which must not be missed by a rounding error.
    shared = exact + np.floor(ratio * (buckets - exact) + 1e-9)
    return (first + np.where(distances < exact, distances, np.minimum(shared, buckets - 1))).astype("int32")


class ALiBi(keras.layers.Layer):
    """-slope_h · |distance| (Press et al. 2022).

    Args:
        heads: H.
        slopes: one for each head; None is 2^(-8h/H) for h = 1 to H.
    """

    def __init__(self, heads: int, slopes: Sequence[float] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.slopes = np.array(alibi_slopes(heads) if slopes is None else slopes, "float32")

    def call(self, length: Tensor, past: Tensor) -> Tensor:
        """T new and P cached tokens -> (1, H, T, P+T), keys as `places_of_keys` has them."""
        distances = ops.cast(_distances(length, past), "float32")
        return -self.slopes[None, :, None, None] * ops.abs(distances)[None, None]


def alibi_slopes(heads: int) -> list[float]:
    """2^(-8h/H) for h = 1 to H: those of a model that is trained with H heads."""
    return (2.0 ** (-8.0 * np.arange(1, heads + 1) / heads)).tolist()


def places_of_keys(length: Tensor, past: Tensor) -> Tensor:
    """Where each key of a self-attention stands, counted from the first of T new tokens: (P+T,).

    With a cache the newest key comes first, P+T places back to the oldest, so that what pads a cache of a younger row
    stands behind all that the row has seen. Without one, keys stand as their tokens do.

    Args:
        length: T, new tokens.
        past: P, tokens in the cache; the number 0 is none, a tensor may be 0.
    """
    if isinstance(past, int) and past == 0:
        return ops.arange(length)
    return (length - 1) - ops.arange(past + length)


def _distances(length: Tensor, past: Tensor) -> Tensor:
    """How far before each of T new tokens each of P cached and T new ones stands: (T, P+T).

    Caches begin together, so this is the same for rows of any age.
    """
    return ops.arange(length)[:, None] - places_of_keys(length, past)[None, :]
