"""Quantization-aware training: a model computes with rounded numbers, and learns to live with them.

Weights and activations are rounded as the exported graph of a number format rounds them; gradients pass as if they were
not (Jacob et al. 2018, with the straight-through estimator of Bengio et al. 2013). Norms, attention and recurrent
layers stay as they are, as in the graph.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from keras import ops

from keras_s2s.layers import fused
from keras_s2s.typing import Tensor

Aware = Literal["int8", "weight4"]

_LEAST = 1e-12
_BLOCK = 32  # inputs that share a scale in "weight4"
_CLIPS = np.linspace(1.0, 0.7, 7).tolist()


def rounding(form: Aware | None) -> contextlib.AbstractContextManager[None]:
    """Within it, models compute with the numbers of a format; None is no format."""
    return contextlib.nullcontext() if form is None else fused.lowering(_FORMS[form]())


class Int8:
    """7 bits a weight, with a scale for each output; 8 bits an activation, with a step for each row."""

    def linear(
        self,
        x: Tensor,
        kernel: Any,
        bias: Any = None,
        activation: fused.Activation | None = None,
        transposed: bool = False,
        columns: Tensor | None = None,
    ) -> Tensor:
        """`fused.linear` of rounded numbers."""
        rounded = _through(kernel, lambda w: self.weights(w if transposed else ops.transpose(w)), not transposed)
        with fused.lowering(None):
            return fused.linear(_through(x, self.activations), rounded, bias, activation, transposed, columns)

    def embedding(self, ids: Tensor, table: Any) -> Tensor:
        """Rounded rows."""
        with fused.lowering(None):
            rows = fused.embedding(ids, table)
        width = rows.shape[-1]
        return _through(rows, lambda r: ops.reshape(self.weights(ops.reshape(r, (-1, width))), ops.shape(r)))

    def weights(self, rows: Tensor) -> Tensor:
        """(O, I) -> (O, I)."""
        return _nearest(rows, ops.max(ops.abs(rows), axis=-1, keepdims=True) / 63, 63)

    def activations(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., I)."""
        return _nearest(x, ops.max(ops.abs(x), axis=-1, keepdims=True) / 127, 127)


class Weight4(Int8):
    """4 bits a weight, with a scale for each block of 32 inputs of an output, that of least square error."""

    def weights(self, rows: Tensor) -> Tensor:
        """(O, I) -> (O, I)."""
        width = rows.shape[-1]
        padded = ops.pad(rows, [[0, 0], [0, -width % _BLOCK]])
        blocks = ops.reshape(padded, (-1, padded.shape[-1] // _BLOCK, _BLOCK))
        # The largest weight takes the side with a step more.
        high, low = ops.max(blocks, axis=-1, keepdims=True), ops.min(blocks, axis=-1, keepdims=True)
        largest = ops.where(high > -low, high, low)
        largest = ops.where(largest == 0, _LEAST, largest)
        best = least = None
        for clip in _CLIPS:
            rounded = _steps(blocks, largest * (-clip / 8), -8, 7)
            error = ops.sum(ops.square(rounded - blocks), axis=-1, keepdims=True)
            best = rounded if best is None else ops.where(error < least, rounded, best)
            least = error if least is None else ops.minimum(error, least)
        return ops.reshape(best, (-1, padded.shape[-1]))[:, :width]

    def activations(self, x: Tensor) -> Tensor:
        """As they are."""
        return x


_FORMS = {"int8": Int8, "weight4": Weight4}


def _nearest(x: Tensor, scale: Tensor, levels: int) -> Tensor:
    return _steps(x, ops.maximum(scale, _LEAST), -levels, levels)


def _steps(x: Tensor, scale: Tensor, least: int, most: int) -> Tensor:
    return ops.clip(ops.round(x / scale), least, most) * scale


def _through(x: Tensor, rounded: Callable[[Tensor], Tensor], turned: bool = False) -> Tensor:
    """Rounded forwards, as it is backwards. With `turned`, what `rounded` gives is the transpose."""
    x = ops.convert_to_tensor(x)
    value = rounded(x)
    return x + ops.stop_gradient((ops.transpose(value) if turned else value) - x)
