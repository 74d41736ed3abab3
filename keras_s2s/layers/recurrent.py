"""Recurrent layers: the cells over the fused LSTM and GRU, and both directions of any cell."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import fused
from keras_s2s.layers.cells import Cell, register_cell
from keras_s2s.typing import Tensor


@register_cell("lstm")
class LSTM(keras.layers.Layer):
    """An LSTM over a sequence or a step, with its state passed in and out.

    Args:
        units: U.
        backwards: read the sequence from its end.

    Attributes:
        state_names: what the parts of its state are.
    """

    state_names = ("hidden", "cell")

    def __init__(self, units: int, backwards: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.supports_masking = True
        self.units = units
        self.lstm = keras.layers.LSTM(
            units,
            return_sequences=True,
            return_state=True,
            go_backwards=backwards,
            zero_output_for_mask=True,
            name="lstm",
        )

    def call(self, x: Tensor, state: tuple[Tensor, ...] | None = None, mask: Tensor | None = None) -> Any:
        """x (N, T, I), h and c (N, U) or zeros, mask (N, T) -> y (N, T, U), (h, c)."""
        y, h, c = fused.lstm(self.lstm, x, state or _zeros(self, x), mask)
        return y, (h, c)


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
        y, h = fused.gru(self.gru, x, state or _zeros(self, x), mask)
        return y, (h,)


class Bidirectional(keras.layers.Layer):
    """A recurrent layer forwards and one backwards, side by side (Schuster and Paliwal 1997).

    Args:
        cell: makes both.
        units: U, even; half of it each way.
    """

    def __init__(self, cell: type[Cell], units: int, **options: Any) -> None:
        super().__init__(**options)
        self.supports_masking = True
        self.forwards = cell(units // 2, name="forwards")
        self.backwards = cell(units // 2, backwards=True, name="backwards")

    def call(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (N, T, I), mask (N, T) -> (N, T, U)."""
        return ops.concatenate([self.forwards(x, mask=mask)[0], self.backwards(x, mask=mask)[0]], axis=-1)


def _zeros(layer: LSTM | GRU, x: Tensor) -> tuple[Tensor, ...]:
    zeros = ops.zeros((ops.shape(x)[0], layer.units), dtype=x.dtype)
    return (zeros,) * len(layer.state_names)
