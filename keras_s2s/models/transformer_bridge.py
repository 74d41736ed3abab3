"""The bridge to the Transformer decoder."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import MIXERS, MemoryKeysValues
from keras_s2s.models.part_config import BlockDecoderConfig
from keras_s2s.models.state import first_position
from keras_s2s.typing import State, Tensor


class TransformerBridge(keras.layers.Layer):
    """Makes the decoder's first state: each layer's keys and values of the memory, and the first state of its mixer.

    Args:
        config: the decoder's.
        width: D.
        reads_memory: whether there is an encoder.
    """

    def __init__(self, config: BlockDecoderConfig, width: int, reads_memory: bool, **options: Any) -> None:
        super().__init__(**options)
        self.width, self.mixer, self.heads = width, MIXERS[config.kind], config.heads_of_layers()
        self.options_of_heads = [config.options_of_heads(i) for i in range(config.layers)]
        sizes = zip(config.memory_heads_of_layers(), config.head_width_of_layers(width), strict=True)
        self.keys_values = [
            MemoryKeysValues(width, heads, head_width, name=f"memory_{i}")
            for i, (heads, head_width) in enumerate(sizes if reads_memory else ())
        ]

    def call(self, given: dict[str, Tensor]) -> State:
        """Encoder outputs, or a position, -> state of B rows."""
        memory = {"mask": given["mask"]} if self.keys_values else {}
        for i, keys_values in enumerate(self.keys_values):
            memory[f"key_{i}"], memory[f"value_{i}"] = keys_values(given["encoded"])
        rows = {"position": first_position(given)}
        sentences = ops.shape(rows["position"])[0]
        for i, heads in enumerate(self.heads):
            options = self.options_of_heads[i]
            first = self.mixer.first_state(sentences, self.width, heads, self.compute_dtype, **options)
            rows |= {f"{name}_{i}": part for name, part in zip(self.mixer.state_names, first, strict=True)}
        return {"memory": memory, "rows": rows}
