"""The way from a source, named tensors, to vectors and their mask: the first part of every encoder."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import Convolution, Embedding, Linear
from keras_s2s.models.part_config import ConvolutionConfig
from keras_s2s.typing import Source, Tensor


class TokenSource(keras.layers.Layer):
    """An embedding of token ids; id 0 is padding.

    Args:
        embedding: the source's table, whose width is D.
        scale: factor of its vectors.
    """

    names = ("source_ids",)

    def __init__(self, embedding: Embedding, scale: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.embedding, self.scale = embedding, scale

    def call(self, source: Source) -> tuple[Tensor, Tensor]:
        """source_ids (B, S) -> x (B, S, D), mask (B, S)."""
        ids = source["source_ids"]
        return self.embedding(ids) * self.scale, ops.not_equal(ids, 0)


class FeatureSource(keras.layers.Layer):
    """Frames of features, through a convolutional front or, without one, a linear projection.

    Args:
        width: D.
        config: the front's, or None.
    """

    names = ("source_features", "source_lengths")

    def __init__(self, width: int, config: ConvolutionConfig | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.front: Convolution | Linear
        if config is None:
            self.front = Linear(width, name="front")
        else:
            self.front = Convolution(width, config.layers, config.kernel, config.stride, name="front")

    def call(self, source: Source) -> tuple[Tensor, Tensor]:
        """source_features (B, S, F), source_lengths (B,) -> x (B, S', D), mask (B, S')."""
        features, lengths = source["source_features"], source["source_lengths"]
        if isinstance(self.front, Convolution):
            return self.front(features, lengths)
        places = ops.arange(ops.shape(features)[1])[None, :]
        return self.front(features), places < lengths[:, None]
