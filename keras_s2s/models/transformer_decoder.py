"""The Transformer decoder, with any mixer."""

from functools import partial
from typing import Any

import keras
from keras import ops

from keras_s2s.layers import MIXERS, Dropout, Embedding, Tokens
from keras_s2s.models.part_config import BlockDecoderConfig
from keras_s2s.models.positions import Positions
from keras_s2s.models.residual import last_norm
from keras_s2s.models.transformer_block import TransformerBlock
from keras_s2s.typing import State, Tensor


class TransformerDecoder(keras.layers.Layer):
    """Embedding, positions and blocks with attention to the memory (Vaswani et al. 2017).

    The tokens of a row are mixed by the mixer that the config's kind names: self-attention over a cache, an SSRU, or a
    user's own.

    Args:
        config: of the stack.
        embedding: the target's table, whose width is D.
        dropout: rate after the embedding and after each part of a block.
        reads_memory: whether there is an encoder.
    """

    def __init__(
        self,
        config: BlockDecoderConfig,
        embedding: Embedding,
        dropout: float,
        reads_memory: bool,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.embedding, mixer = embedding, MIXERS[config.kind]
        self.state_names = mixer.state_names
        self.positions = Positions(config, embedding.width, bidirectional=False, name="positions")
        self.blocks = []
        width, memory_heads = embedding.width, config.memory_heads_of_layers()
        for i, heads in enumerate(config.heads_of_layers()):
            mixes = mixer(width, heads, config.positions, name=config.kind, **config.options_of_heads(i))
            queries = memory_heads[i] * config.head_width_of_layers(width)[i] if reads_memory else None
            block = TransformerBlock(config, i, width, dropout, mixes, queries, name=f"block_{i}")
            self.blocks.append(block)
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
        positions = rows["position"][:, None]
        if ids.shape[1] != 1:
            positions = positions + ops.arange(length)[None, :]
        tokens = Tokens(rows["position"], positions, length, partial(self.positions.of_attention, positions, length))
        given = self.blocks[0].mixer.prepare(tokens, self._state_of(rows, 0))
        x = self.positions(self.embedding(ids) * self.embedding.width**0.5, positions)
        x = self.dropout(x, training=training)
        for i, block in enumerate(self.blocks):
            x, after, attention = block(
                x,
                self._state_of(rows, i),
                given=given,
                memory=(memory[f"key_{i}"], memory[f"value_{i}"], memory["mask"]) if memory else None,
                return_attention=return_attention and i == len(self.blocks) - 1,
                training=training,
            )
            rows |= {f"{name}_{i}": part for name, part in zip(self.state_names, after, strict=True)}
        rows["position"] = rows["position"] + length
        hidden, state = x if self.norm is None else self.norm(x), {"memory": memory, "rows": rows}
        return (hidden, state, attention) if return_attention else (hidden, state)

    def _state_of(self, rows: dict[str, Tensor], layer: int) -> tuple[Tensor, ...]:
        return tuple(rows[f"{name}_{layer}"] for name in self.state_names)
