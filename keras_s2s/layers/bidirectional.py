"""Both directions of a cell."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers.cells import Cell
from keras_s2s.typing import Tensor


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
