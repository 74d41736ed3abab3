"""The residual connection around each part of a Transformer block."""

from typing import Any

import keras

from keras_s2s.layers import Dropout, LayerNorm, RMSNorm
from keras_s2s.models.part_config import BlockConfig
from keras_s2s.typing import Tensor

NORMS: dict[str, Any] = {"layer": LayerNorm, "rms": RMSNorm}


class Residual(keras.layers.Layer):
    """x + dropout(f(norm(x))) for norm_place "pre" (Xiong et al. 2020), norm(x + dropout(f(x))) for "post".

    A part f of a block is `y = f(residual.before(x))` and then `residual.after(x, y)`.

    Args:
        config: kind and place of the norm.
        dropout: rate of f's output.
        name: of the part; its norm is called `NAME_norm`.
    """

    def __init__(self, config: BlockConfig, dropout: float, name: str) -> None:
        super().__init__(name=name)
        self.is_pre = config.norm_place == "pre"
        self.norm = NORMS[config.norm](name=f"{name}_norm")
        self.dropout = Dropout(dropout)
        self.built = True  # it is never called itself, so Keras would look for its weights in vain

    def before(self, x: Tensor) -> Tensor:
        """The input of f: (..., D) -> (..., D)."""
        return self.norm(x) if self.is_pre else x

    def after(self, x: Tensor, y: Tensor, training: bool | None = None) -> Tensor:
        """x and f's output, (..., D) each -> (..., D)."""
        x = x + self.dropout(y, training=training)
        return x if self.is_pre else self.norm(x)


def last_norm(config: BlockConfig) -> keras.layers.Layer | None:
    """The norm of a stack's output, for blocks that normalise before each part."""
    return NORMS[config.norm](name="norm") if config.norm_place == "pre" else None
