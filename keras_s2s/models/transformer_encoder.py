"""The Transformer encoder."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import AttentionMixer, Dropout, causal_mask
from keras_s2s.models.part_config import TransformerEncoderConfig
from keras_s2s.models.positions import Positions
from keras_s2s.models.residual import last_norm
from keras_s2s.models.sources import FeatureSource, Source, TokenSource
from keras_s2s.models.transformer_block import TransformerBlock
from keras_s2s.typing import Tensor


class TransformerEncoder(keras.layers.Layer):
    """A source, positions and blocks (Vaswani et al. 2017).

    Args:
        config: of the stack.
        source: makes vectors of the source.
        width: D.
        dropout: rate after the source and after each part of a block.
    """

    def __init__(
        self,
        config: TransformerEncoderConfig,
        source: TokenSource | FeatureSource,
        width: int,
        dropout: float,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.source, self.bidirectional = source, config.bidirectional
        self.positions = Positions(config, width, config.bidirectional, name="positions")
        self.blocks = []
        for i, heads in enumerate(config.heads_of_layers()):
            mixer = AttentionMixer(width, heads, config.positions, **config.options_of_heads(i))
            self.blocks.append(TransformerBlock(config, i, width, dropout, mixer, None, name=f"block_{i}"))
        self.dropout = Dropout(dropout)
        self.norm = last_norm(config)

    def call(self, source: Source, training: bool | None = None) -> dict[str, Tensor]:
        """The source's tensors -> encoded (B, S', D) and mask (B, S'), true at real places."""
        x, mask = self.source(source)
        length = ops.shape(x)[1]
        positions = ops.arange(length)[None, :]
        # Padding stands at the end, where causal attention of real places does not look.
        seen = mask[:, None, :] if self.bidirectional else causal_mask(ops.zeros_like(mask[:, 0], "int32"), 0, length)
        given = {"mask": seen, **self.positions.of_attention(positions, length, 0)}
        x = self.dropout(self.positions(x, positions), training=training)
        for block in self.blocks:
            x, *_ = block(x, given=given, training=training)
        return {"encoded": x if self.norm is None else self.norm(x), "mask": mask}
