"""Encoders: source ids (B, S) -> {"encoded": (B, S, D), "mask": (B, S)}, the mask true at real tokens."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import BidirectionalLSTM, Embedding, FeedForward, LayerNorm, SelfAttention, sinusoids
from keras_s2s.layers.fused import Tensor
from keras_s2s.models.config import LSTMEncoderConfig, TransformerEncoderConfig

Encoded = dict[str, Tensor]


class LSTMEncoder(keras.layers.Layer):
    """Embedding and stacked bidirectional LSTMs.

    Args:
        config: number of layers.
        embedding: the source's table, whose width is D.
        dropout: rate between layers.
    """

    def __init__(self, config: LSTMEncoderConfig, embedding: Embedding, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self.embedding = embedding
        self.blocks = [BidirectionalLSTM(embedding.width, name=f"lstm_{i}") for i in range(config.layers)]
        self.dropout = keras.layers.Dropout(dropout)

    def call(self, source_ids: Tensor, training: bool | None = None) -> Encoded:
        """(B, S) -> encoded (B, S, D) and mask (B, S)."""
        mask = ops.not_equal(source_ids, 0)
        x = self.dropout(self.embedding(source_ids), training=training)
        for i, block in enumerate(self.blocks):
            y = self.dropout(block(x, mask), training=training)
            x = x + y if i > 0 else y
        return {"encoded": x, "mask": mask}


class TransformerEncoder(keras.layers.Layer):
    """Embedding, sinusoidal positions and pre-norm blocks (Vaswani et al. 2017, Xiong et al. 2020).

    Args:
        config: number of layers, heads, inner size.
        embedding: the source's table, whose width is D.
        dropout: rate after the embedding and after each part of a block.
    """

    def __init__(self, config: TransformerEncoderConfig, embedding: Embedding, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self.embedding = embedding
        self.blocks = [
            TransformerEncoderBlock(embedding.width, config, dropout, name=f"block_{i}") for i in range(config.layers)
        ]
        self.dropout = keras.layers.Dropout(dropout)
        self.norm = LayerNorm(name="norm")

    def call(self, source_ids: Tensor, training: bool | None = None) -> Encoded:
        """(B, S) -> encoded (B, S, D) and mask (B, S)."""
        mask = ops.not_equal(source_ids, 0)
        width = self.embedding.width
        positions = ops.arange(ops.shape(source_ids)[1])[None, :]
        x = self.embedding(source_ids) * width**0.5
        x = x + ops.cast(sinusoids(positions, width), x.dtype)
        x = self.dropout(x, training=training)
        for block in self.blocks:
            x = block(x, mask[:, None, :], training=training)
        return {"encoded": self.norm(x), "mask": mask}


class TransformerEncoderBlock(keras.layers.Layer):
    """Self-attention and a feed-forward part, each x + dropout(f(norm(x))).

    Args:
        width: D.
        config: heads and inner size.
        dropout: rate after each part.
    """

    def __init__(self, width: int, config: TransformerEncoderConfig, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self.attention_norm = LayerNorm(name="attention_norm")
        self.attention = SelfAttention(width, config.heads, name="attention")
        self.feed_forward_norm = LayerNorm(name="feed_forward_norm")
        self.feed_forward = FeedForward(width, config.feed_forward, dropout, name="feed_forward")
        self.dropout = keras.layers.Dropout(dropout)

    def call(self, x: Tensor, mask: Tensor, training: bool | None = None) -> Tensor:
        """x (B, S, D), mask (B, 1, S) -> (B, S, D)."""
        attended, _ = self.attention(self.attention_norm(x), mask)
        x = x + self.dropout(attended, training=training)
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x), training=training), training=training)
