"""The Transformer decoder, with self-attention or with SSRUs."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import SSRU, Dropout, Embedding, SelfAttention, causal_mask
from keras_s2s.models.part_config import SSRUDecoderConfig, TransformerDecoderConfig
from keras_s2s.models.positions import Positions
from keras_s2s.models.residual import last_norm
from keras_s2s.models.transformer_block import TransformerBlock
from keras_s2s.typing import State, Tensor


class TransformerDecoder(keras.layers.Layer):
    """Embedding, positions and blocks with attention to the memory (Vaswani et al. 2017).

    What mixes the tokens of a row is self-attention over a cache, or an SSRU, whose only state is a cell of D numbers
    (Kim et al. 2019).

    Args:
        config: of the stack.
        embedding: the target's table, whose width is D.
        dropout: rate after the embedding and after each part of a block.
        reads_memory: whether there is an encoder.
    """

    def __init__(
        self,
        config: TransformerDecoderConfig | SSRUDecoderConfig,
        embedding: Embedding,
        dropout: float,
        reads_memory: bool,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.embedding, self.is_ssru = embedding, config.kind == "ssru"
        self.positions = Positions(config, embedding.width, bidirectional=False, name="positions")
        self.blocks = [
            TransformerBlock(
                config, embedding.width, dropout, _mixer(config, embedding.width), reads_memory, name=f"block_{i}"
            )
            for i in range(config.layers)
        ]
        self.dropout = Dropout(dropout)
        self.norm = last_norm(config)

    def call(
        self, ids: Tensor, state: State, return_attention: bool = False, training: bool | None = None
    ) -> tuple[Any, ...]:
        """Advances every row by its ids.

        Args:
            ids: (R, T).
            state: memory of B sentences and R = B·K rows, the K of a sentence next to each other.
            return_attention: whether the last block's attention, mean over heads, is returned too.
            training: whether dropout is on.

        Returns:
            hidden (R, T, D), the state after the last id, and, if asked for, attention (R, T, S), None in a language
            model.
        """
        memory, rows = state["memory"], dict(state["rows"])
        length, attention = ops.shape(ids)[1], None
        positions = rows["position"][:, None] + ops.arange(length)[None, :]
        mask, shared = (None, {}) if self.is_ssru else self._sight(rows, positions, length)
        x = self.positions(self.embedding(ids) * self.embedding.width**0.5, positions)
        x = self.dropout(x, training=training)
        for i, block in enumerate(self.blocks):
            x, after, attention = block(
                x,
                rows[f"cell_{i}"] if self.is_ssru else mask,
                {} if self.is_ssru else {"cache": (rows[f"key_{i}"], rows[f"value_{i}"]), **shared},
                memory=(memory[f"key_{i}"], memory[f"value_{i}"], memory["mask"]) if memory else None,
                return_attention=return_attention and i == len(self.blocks) - 1,
                training=training,
            )
            rows |= {f"cell_{i}": after} if self.is_ssru else {f"key_{i}": after[0], f"value_{i}": after[1]}
        rows["position"] = rows["position"] + length
        hidden, state = x if self.norm is None else self.norm(x), {"memory": memory, "rows": rows}
        return (hidden, state, attention) if return_attention else (hidden, state)

    def _sight(self, rows: dict[str, Tensor], positions: Tensor, length: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What self-attention is told alike in all blocks: the mask (R, T, P+T), and options."""
        past = ops.shape(rows["key_0"])[2]
        return causal_mask(rows["position"], past, length), self.positions.of_attention(positions, length, past)


def _mixer(config: TransformerDecoderConfig | SSRUDecoderConfig, width: int) -> SelfAttention | SSRU:
    if config.kind == "ssru":
        return SSRU(width, name="ssru")
    return SelfAttention(width, config.heads, rotary=config.positions == "rotary", name="self_attention")
