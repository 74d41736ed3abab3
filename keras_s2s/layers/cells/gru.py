"""The cell over the fused GRU."""

from typing import Any

import keras

from keras_s2s.layers import fused
from keras_s2s.layers.cells import register_cell, zero_state
from keras_s2s.typing import Tensor


@register_cell("gru")
class GRU(keras.layers.Layer):
    """A GRU over a sequence or a step, with its state passed in and out.

    Args:
        units: U.
        backwards: read the sequence from its end.

    Attributes:
        state_names: what the parts of its state are.
    """

    state_names = ("hidden",)

    def __init__(self, units: int, backwards: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.supports_masking = True
        self.units = units
        self.gru = keras.layers.GRU(
            units,
            return_sequences=True,
            return_state=True,
            go_backwards=backwards,
            zero_output_for_mask=True,
            reset_after=True,
            name="gru",
        )

    def call(self, x: Tensor, state: tuple[Tensor, ...] | None = None, mask: Tensor | None = None) -> Any:
        """x (N, T, I), h (N, U) or zeros, mask (N, T) -> y (N, T, U), (h,)."""
        y, h = fused.gru(self.gru, x, state or zero_state(self, x), mask)
        return y, (h,)
