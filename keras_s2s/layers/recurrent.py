"""Recurrent layers over the fused LSTM."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers import fused

Tensor = fused.Tensor


class LSTM(keras.layers.Layer):
    """An LSTM over a sequence or a step, with its state passed in and out.

    Args:
        units: U.
        backwards: read the sequence from its end.
    """

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

    def call(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None, mask: Tensor | None = None) -> Any:
        """x (N, T, I), h and c (N, U) or zeros, mask (N, T) -> y (N, T, U), (h, c)."""
        if state is None:
            zeros = ops.zeros((ops.shape(x)[0], self.units), dtype=x.dtype)
            state = (zeros, zeros)
        y, h, c = fused.lstm(self.lstm, x, state, mask)
        return y, (h, c)


class BidirectionalLSTM(keras.layers.Layer):
    """One LSTM forwards and one backwards, side by side (Schuster and Paliwal 1997): (N, T, I) -> (N, T, U).

    Args:
        units: U, even; half of it each way.
    """

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.supports_masking = True
        self.forwards = LSTM(units // 2, name="forwards")
        self.backwards = LSTM(units // 2, backwards=True, name="backwards")

    def call(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (N, T, I), mask (N, T) -> (N, T, U)."""
        return ops.concatenate([self.forwards(x, mask=mask)[0], self.backwards(x, mask=mask)[0]], axis=-1)
