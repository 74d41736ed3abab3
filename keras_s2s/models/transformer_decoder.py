"""The Transformer decoder, and the bridge that makes its first state."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import (
    CrossAttention,
    Embedding,
    FeedForward,
    LayerNorm,
    MemoryKeysValues,
    SelfAttention,
    causal_mask,
    sinusoids,
)
from keras_s2s.layers.fused import Tensor
from keras_s2s.models.config import TransformerDecoderConfig
from keras_s2s.models.lstm_decoder import State


class TransformerBridge(keras.layers.Layer):
    """Makes the decoder's first state: each layer's keys and values of the memory, and empty caches.

    Args:
        config: the decoder's.
        width: D.
    """

    def __init__(self, config: TransformerDecoderConfig, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.heads, self.head_width = config.heads, width // config.heads
        self.keys_values = [MemoryKeysValues(width, config.heads, name=f"memory_{i}") for i in range(config.layers)]

    def call(self, encoded: dict[str, Tensor]) -> State:
        """encoded (B, S, D), mask (B, S) -> state of B rows."""
        sentences = ops.shape(encoded["mask"])[0]
        memory = {"mask": encoded["mask"]}
        rows = {"position": ops.zeros((sentences,), dtype="int32")}
        for i, keys_values in enumerate(self.keys_values):
            memory[f"key_{i}"], memory[f"value_{i}"] = keys_values(encoded["encoded"])
            for name in ("key", "value"):
                empty = (sentences, self.heads, 0, self.head_width)
                rows[f"{name}_{i}"] = ops.zeros(empty, dtype=encoded["encoded"].dtype)
        return {"memory": memory, "rows": rows}


class TransformerDecoder(keras.layers.Layer):
    """Embedding, sinusoidal positions and pre-norm blocks with attention to the memory (Vaswani et al. 2017).

    Args:
        config: number of layers, heads, inner size.
        embedding: the target's table, whose width is D.
        dropout: rate after the embedding and after each part of a block.
    """

    def __init__(self, config: TransformerDecoderConfig, embedding: Embedding, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self.embedding = embedding
        self.blocks = [
            TransformerDecoderBlock(embedding.width, config, dropout, name=f"block_{i}") for i in range(config.layers)
        ]
        self.dropout = keras.layers.Dropout(dropout)
        self.norm = LayerNorm(name="norm")

    def call(
        self, ids: Tensor, state: State, return_attention: bool = False, training: bool | None = None
    ) -> tuple[Tensor, ...]:
        """Advances every row by its ids.

        Args:
            ids: (R, T).
            state: memory of B sentences and R = B·K rows, the K of a sentence next to each other.
            return_attention: whether the last block's attention, mean over heads, is returned too.
            training: whether dropout is on.

        Returns:
            hidden (R, T, D), the state after the last id, and, if asked for, attention (R, T, S).
        """
        memory, rows = state["memory"], dict(state["rows"])
        length, width = ops.shape(ids)[1], self.embedding.width
        positions = rows["position"][:, None] + ops.arange(length)[None, :]
        mask = causal_mask(rows["position"], ops.shape(rows["key_0"])[2], length)
        x = self.embedding(ids) * width**0.5
        x = x + ops.cast(sinusoids(positions, width), x.dtype)
        x = self.dropout(x, training=training)
        attention = None
        for i, block in enumerate(self.blocks):
            x, (rows[f"key_{i}"], rows[f"value_{i}"]), attention = block(
                x,
                mask,
                cache=(rows[f"key_{i}"], rows[f"value_{i}"]),
                memory=(memory[f"key_{i}"], memory[f"value_{i}"], memory["mask"]),
                return_attention=return_attention and i == len(self.blocks) - 1,
                training=training,
            )
        rows["position"] = rows["position"] + length
        hidden, after = self.norm(x), {"memory": memory, "rows": rows}
        return (hidden, after, attention) if return_attention else (hidden, after)


class TransformerDecoderBlock(keras.layers.Layer):
    """Self-attention, attention to the memory and a feed-forward part, each x + dropout(f(norm(x))).

    Args:
        width: D.
        config: heads and inner size.
        dropout: rate after each part.
    """

    def __init__(self, width: int, config: TransformerDecoderConfig, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self.self_norm = LayerNorm(name="self_norm")
        self.self_attention = SelfAttention(width, config.heads, name="self_attention")
        self.cross_norm = LayerNorm(name="cross_norm")
        self.cross_attention = CrossAttention(width, name="cross_attention")
        self.feed_forward_norm = LayerNorm(name="feed_forward_norm")
        self.feed_forward = FeedForward(width, config.feed_forward, dropout, name="feed_forward")
        self.dropout = keras.layers.Dropout(dropout)

    def call(
        self,
        x: Tensor,
        mask: Tensor,
        cache: tuple[Tensor, Tensor],
        memory: tuple[Tensor, Tensor, Tensor],
        return_attention: bool = False,
        training: bool | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor | None]:
        """x (R, T, D), mask (R, T, P+T), cache (R, H, P, d), memory (B, H, S, d) and its mask (B, S).

        Returns:
            x (R, T, D), the cache (R, H, P+T, d), and attention (R, T, S) or None.
        """
        attended, cache = self.self_attention(self.self_norm(x), mask, cache)
        x = x + self.dropout(attended, training=training)
        key, value, memory_mask = memory
        query = self.cross_norm(x)
        attention = self.cross_attention.weights_of(query, key, memory_mask) if return_attention else None
        x = x + self.dropout(self.cross_attention(query, key, value, memory_mask), training=training)
        hidden = self.feed_forward(self.feed_forward_norm(x), training=training)
        return x + self.dropout(hidden, training=training), cache, attention
