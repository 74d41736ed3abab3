"""The bridge to the Transformer decoder."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import MemoryKeysValues
from keras_s2s.models.part_config import SSRUDecoderConfig, TransformerDecoderConfig
from keras_s2s.models.state import first_position
from keras_s2s.typing import State, Tensor


class TransformerBridge(keras.layers.Layer):
    """Makes the decoder's first state: each layer's keys and values of the memory; empty caches, or cells of zeros.

    Args:
        config: the decoder's.
        width: D.
        reads_memory: whether there is an encoder.
    """

    def __init__(
        self, config: TransformerDecoderConfig | SSRUDecoderConfig, width: int, reads_memory: bool, **options: Any
    ) -> None:
        super().__init__(**options)
        self.config, self.width = config, width
        self.keys_values = [
            MemoryKeysValues(width, config.heads, name=f"memory_{i}")
            for i in range(config.layers if reads_memory else 0)
        ]

    def call(self, given: dict[str, Tensor]) -> State:
        """Encoder outputs, or a position, -> state of B rows."""
        memory = {"mask": given["mask"]} if self.keys_values else {}
        for i, keys_values in enumerate(self.keys_values):
            memory[f"key_{i}"], memory[f"value_{i}"] = keys_values(given["encoded"])
        rows = {"position": first_position(given)}
        sentences, heads = ops.shape(rows["position"])[0], self.config.heads
        for i in range(self.config.layers):
            if self.config.kind == "ssru":
                rows[f"cell_{i}"] = ops.zeros((sentences, self.width), dtype=self.compute_dtype)
                continue
            for name in ("key", "value"):
                empty = (sentences, heads, 0, self.width // heads)
                rows[f"{name}_{i}"] = ops.zeros(empty, dtype=self.compute_dtype)
        return {"memory": memory, "rows": rows}
