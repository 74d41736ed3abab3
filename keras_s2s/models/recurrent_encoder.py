"""The recurrent encoder."""

from typing import Any

import keras

from keras_s2s.layers import CELLS, Bidirectional, Dropout
from keras_s2s.models.part_config import RecurrentEncoderConfig
from keras_s2s.models.sources import FeatureSource, Source, TokenSource
from keras_s2s.typing import Tensor


class RecurrentEncoder(keras.layers.Layer):
    """A source and stacked recurrent layers, residual from the second on.

    Args:
        config: cell, number and direction of the layers.
        source: makes vectors of the source.
        width: D.
        dropout: rate between layers.
    """

    def __init__(
        self,
        config: RecurrentEncoderConfig,
        source: TokenSource | FeatureSource,
        width: int,
        dropout: float,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.source, self.bidirectional = source, config.bidirectional
        cell, names = CELLS[config.kind], [f"{config.kind}_{i}" for i in range(config.layers)]
        self.blocks = [
            Bidirectional(cell, width, name=name) if config.bidirectional else cell(width, name=name) for name in names
        ]
        self.dropout = Dropout(dropout)

    def call(self, source: Source, training: bool | None = None) -> dict[str, Tensor]:
        """The source's tensors -> encoded (B, S', D) and mask (B, S'), true at real places."""
        x, mask = self.source(source)
        x = self.dropout(x, training=training)
        for i, block in enumerate(self.blocks):
            # A slice, since Keras ties its own mask to an LSTM's output, and later layers would complain of it.
            y = block(x, mask) if self.bidirectional else block(x, None, mask)[0][:, :]
            y = self.dropout(y, training=training)
            x = x + y if i > 0 else y
        return {"encoded": x, "mask": mask}
