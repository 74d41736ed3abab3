"""Positions in a stack of Transformer blocks."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import ALiBi, LearnedPositions, RelativeBias, sinusoids
from keras_s2s.models.part_config import BlockConfig
from keras_s2s.typing import Tensor


class Positions(keras.layers.Layer):
    """Positions of a stack: added to its input, or given to each self-attention.

    Args:
        config: the stack's.
        width: D.
        bidirectional: whether the stack sees both ways.
    """

    def __init__(self, config: BlockConfig, width: int, bidirectional: bool, **options: Any) -> None:
        super().__init__(**options)
        self.kind, self.width = config.positions, width
        self.learned = self.bias = None
        if self.kind == "learned":
            self.learned = LearnedPositions(config.maximum_length, width, name="learned")
        elif self.kind == "relative":
            self.bias = RelativeBias(config.heads_of_layers()[0], bidirectional, name="bias")
        elif self.kind == "alibi":
            self.bias = ALiBi(config.heads_of_layers()[0], config.slopes, name="bias")

    def call(self, x: Tensor, positions: Tensor) -> Tensor:
        """x (N, T, D), positions (N, T) or (1, T) -> x, with the positions' vectors added if there are such."""
        if self.kind == "sinusoidal":
            return x + ops.cast(sinusoids(positions, self.width), x.dtype)
        return x if self.learned is None else x + self.learned(positions)

    def of_attention(self, positions: Tensor, length: Tensor, past: Tensor | int) -> dict[str, Tensor]:
        """Arguments of a `SelfAttention` over `past` and then `length` tokens."""
        if self.kind == "rotary":
            return {"positions": positions}
        return {} if self.bias is None else {"bias": self.bias(length=length, past=past)}
