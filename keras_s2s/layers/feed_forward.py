"""The position-wise part of a Transformer block."""

from typing import Any, Literal

import keras

from keras_s2s.layers.core import Linear
from keras_s2s.layers.dropout import Dropout
from keras_s2s.layers.fused import Activation
from keras_s2s.typing import Tensor

FeedForwardActivation = Literal["relu", "gelu", "swiglu"]
_INNER: dict[str, Activation] = {"relu": "relu", "gelu": "gelu", "swiglu": "silu"}


class FeedForward(keras.layers.Layer):
    """f(x W1 + b1) W2 + b2 with f ReLU (Vaswani et al. 2017, section 3.3) or GELU (Hendrycks and Gimpel 2016).

    With "swiglu" it is (silu(x W1 + b1) · (x V + c)) W2 + b2 (Shazeer 2020). All are (..., D) -> (..., D).

    Args:
        width: D.
        hidden: size of the inner products.
        dropout: rate between the products.
        activation: "relu", "gelu" or "swiglu".
    """

    def __init__(
        self, width: int, hidden: int, dropout: float, activation: FeedForwardActivation = "relu", **options: Any
    ) -> None:
        super().__init__(**options)
        self.up = Linear(hidden, _INNER[activation], name="up")
        self.gate = Linear(hidden, name="gate") if activation == "swiglu" else None
        self.dropout = Dropout(dropout)
        self.down = Linear(width, name="down")

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """(..., D) -> (..., D)."""
        inner = self.up(x) if self.gate is None else self.up(x) * self.gate(x)
        return self.down(self.dropout(inner, training=training))
