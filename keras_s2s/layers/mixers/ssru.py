"""The simpler simple recurrent unit."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers.core import Linear
from keras_s2s.layers.mixers import ADDED, Tokens, register_mixer
from keras_s2s.layers.scan import linear_recurrence
from keras_s2s.typing import Tensor


class SSRU(keras.layers.Layer):
    """f = sigmoid(x W + b); c_t = f_t · c_{t-1} + (1 - f_t) · x_t U; y = relu(c) (Kim et al. 2019).

    A whole sequence is computed in parallel; its state is one c.

    Args:
        width: D.
    """

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__(**options)
        # XLA has no gradient of a loop whose number of rounds is known at run time alone.
        self.supports_jit = False
        self.forget = Linear(width, name="forget")
        self.input_projection = Linear(width, use_bias=False, name="input")

    def call(self, x: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """x (R, T, D), c before it (R, D) -> y (R, T, D), c after it (R, D)."""
        forget, projected = (ops.cast(part(x), cell.dtype) for part in (self.forget, self.input_projection))
        forget = ops.sigmoid(forget)
        cells = linear_recurrence(forget, (1.0 - forget) * projected, cell)
        return ops.relu(cells), cells[:, -1]


@register_mixer("ssru")
class SSRUMixer(SSRU):
    """An SSRU, whose only state is a cell of D numbers (Kim et al. 2019)."""

    positions = ADDED
    state_names = ("cell",)

    def __init__(self, width: int, heads: int, positions: str, **options: Any) -> None:
        super().__init__(width, **options)

    @staticmethod
    def first_state(rows: Tensor, width: int, heads: int, dtype: str) -> tuple[Tensor, ...]:
        """A cell of zeros, (R, D)."""
        return (ops.zeros((rows, width), dtype=dtype),)

    def prepare(self, tokens: Tokens, state: tuple[Tensor, ...]) -> None:
        """Nothing: a cell knows all."""

    def call(self, x: Tensor, state: tuple[Tensor], given: None = None) -> tuple[Tensor, tuple[Tensor]]:
        """x (R, T, D), a cell (R, D) -> (R, T, D), and the cell after it."""
        y, cell = super().call(x, *state)
        return y, (cell,)
